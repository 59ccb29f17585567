"""Versions of rules written in the console: what each changed, and the way back to it, also for rules out of force."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Final

from secops.api.problems import NotFound
from secops.errors import UserError
from secops.rulebook import drafts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secops.console.visit import Visit
    from secops.rulebook.drafts import Version

SHOWN: Final = 20  # versions whose changes are worked out
MOST_COMPARED: Final = 20_000  # characters; the comparison takes the square of the lines
MOST_WITHDRAWN: Final = 50
_TITLE: Final = re.compile(r"^(title|title_zh):[ ]*(\S[^\n]*)$", re.MULTILINE)  # over our own texts; one way to match


@dataclass(frozen=True, slots=True)
class Written:
    """A version as its rule's page shows it."""

    version: Version
    readable: bool  # an id may have been used for somebody else's rule before
    changes: str  # as a unified diff against the version before; "" for the first, or one that is not compared


def written(visit: Visit, versions: Sequence[Version]) -> list[Written]:
    """Versions, the newest first, with what each changed."""
    found = []
    for number, (one, before) in enumerate(zip_longest(versions, versions[1:])):
        readable = number < SHOWN and _may_read(visit, one.text)
        compared = readable and before is not None and _may_read(visit, before.text)
        found.append(Written(one, readable, changes(before.text, one.text) if compared else ""))
    return found


def changes(before: str, after: str) -> str:
    """What was changed, as a unified diff without file names; "" when the texts are too long to be compared."""
    if max(len(before), len(after)) > MOST_COMPARED:
        return ""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return "\n".join(islice(lines, 2, None))


def text_of(visit: Visit, rule_id: str, number: str) -> str:
    """The text of one version, to begin from in the editor.

    Raises:
        NotFound: there is none, or it is about somebody else's rule.
    """
    try:
        with visit.service.database.read() as tx:
            found = drafts.get(tx, rule_id, int(number) if number.isascii() and number.isdigit() else 0)
    except (UserError, OverflowError):
        raise NotFound from None
    if not _may_read(visit, found.text):
        raise NotFound
    return found.text


def title_in(text: str) -> str:
    """What a text calls its rule, the Chinese title first, without reading it as a rule; "" when it says nothing."""
    said: dict[str, str] = dict(_TITLE.findall(text))
    return (said.get("title_zh") or said.get("title") or "").strip("'\"")


def withdrawn(visit: Visit) -> list[tuple[Version, str]]:
    """Newest versions and titles of rules that are written here and not in force, as far as the visitor may know of them."""
    running = {rule.id for rule in visit.service.rules.rules}
    with visit.service.database.read() as tx:
        found = (one for one in drafts.latest(tx) if one.rule_id not in running)
        return [(one, title_in(one.text)) for one in islice(found, MOST_WITHDRAWN) if _may_read(visit, one.text)]


def _may_read(visit: Visit, text: str) -> bool:
    """Whether the text is about everybody, or about an organisation that the visitor sees."""
    visible = visit.visible_tenants()
    if visible is None:
        return True
    rule, _ = visit.service.read_draft(text)
    return rule is not None and (not rule.info.tenants or bool(visible.intersection(rule.info.tenants)))
