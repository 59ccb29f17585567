from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise.schema import MAX_KEYWORD

if TYPE_CHECKING:
    from secops.records import Event

_VERBS_WITH_OBJECT: Final = frozenset({"CREATE", "ALTER", "DROP", "TRUNCATE", "FLUSH", "RESET", "STOP", "START", "INSTALL", "LOAD", "SHOW"})  # fmt: skip
_SKIPPED: Final = frozenset(
    [
        "OR",
        "REPLACE",
        "IF",
        "NOT",
        "EXISTS",
        "GLOBAL",
        "LOCAL",
        "TEMPORARY",
        "TEMP",
        "UNLOGGED",
        "UNIQUE",
        "PUBLIC",
        "AGGREGATE",
        "FORCE",
        "NOFORCE",
    ]
)
_WRITES: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "TRUNCATE", "COPY", "LOAD"})
_LOOKED_AT: Final = 400  # characters in which the operation stands, comments left out
_MOST_COMMENTS: Final = 16


def note_statement(event: Event, fields: dict[str, str], statement: str) -> None:
    """Note an SQL statement: ``db.statement``, ``db.operation`` among the original fields, what kind of act it is in ECS."""
    operation = operation_of(statement)
    fields["db.statement"] = one_line(statement)
    fields["db.operation"] = operation
    event["event.category"] = ["database"]
    event["event.action"] = "db_statement"
    verb, _, noun = operation.partition(" ")
    if verb in {"GRANT", "REVOKE"} or noun in {"USER", "ROLE", "LOGIN"}:
        event["event.category"] = ["database", "iam"]
        event["event.type"] = ["change"]
    elif verb in {"CREATE", "ALTER", "DROP"}:
        event["event.type"] = [{"CREATE": "creation", "ALTER": "change", "DROP": "deletion"}[verb]]
    else:
        event["event.type"] = ["change" if verb in _WRITES else "access"]


def one_line(statement: str) -> str:
    """Give at most ``MAX_KEYWORD`` characters of a statement as it acts: white space reduced, plain comments taken out.

    ``GRANT/**/DBA`` must not read otherwise than ``GRANT DBA``. MySQL's ``/*! … */`` acts, so it stays; the whole text
    as it was written is in ``event.original``.
    """
    text = statement[:MAX_KEYWORD]
    if "/*" in text:
        first, *rest = text.split("/*")
        text = first + "".join(f"/*{part}" if part[:1] == "!" else f" {part.partition('*/')[2]}" for part in rest)
    return " ".join(text.split())


def operation_of(statement: str) -> str:
    """Give the verb of a statement in capitals, with the kind of object for those that have one: ``DROP TABLE``, ``GRANT``.

    Comments before and inside the first words are no part of it; ``CREATE OR REPLACE FUNCTION`` is ``CREATE FUNCTION``.
    """
    head = without_comments(statement)
    verb, _, rest = head.partition(" ")
    verb = verb.partition("(")[0].rstrip(";").upper()[:32]
    if verb not in _VERBS_WITH_OBJECT:
        return verb
    for word in rest.split(" ", 8)[:8]:
        noun = word.partition("(")[0].strip(";").upper()
        if noun and noun not in _SKIPPED:
            return f"{verb} {noun[:32]}"
    return verb


def without_comments(statement: str) -> str:
    """Give the beginning of a statement, its white space reduced and its leading and nested comments taken out."""
    text = statement.lstrip(" \t\r\n;(")
    for _ in range(_MOST_COMMENTS):
        if text[:2] == "--" or text[:1] == "#":
            text = text.partition("\n")[2].lstrip()
        elif text[:2] == "/*" and text[2:3] != "!":
            text = text[2:].partition("*/")[2].lstrip()
        else:
            break
    head = text[:_LOOKED_AT]
    if "/*" in head:
        for _ in range(_MOST_COMMENTS):
            before, found, after = head.partition("/*")
            if not found:
                break
            comment, _, rest = after.partition("*/")
            head = f"{before} {comment.lstrip('!0123456789')} {rest}" if comment[:1] == "!" else f"{before} {rest}"
    return " ".join(head.split())
