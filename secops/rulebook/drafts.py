"""Rules written in the console: every text is kept as a version; the one in force is a file like any other rule's.

The file in the folder is the truth about what runs; the table says which texts there were, whose, when and why.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops import audit
from secops.errors import UserError
from secops.rulebook.said import reason_of
from secops.rulebook.tables import VersionRow

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

MAX_TEXT: Final = 1_000_000  # bytes
_FILE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One text of a rule; versions of a rule count from 1."""

    rule_id: str
    version: int
    text: str
    actor: str
    at: datetime
    reason: str


def save(
    tx: Session, *, rule_id: str, text: str, actor: str, reason: str, now: datetime, source_ip: str = ""
) -> Version:
    """Keep ``text`` as the rule's next version, which does not run before it is published; audit it.

    Raises:
        UserError: no id that a file can bear, no reason, or a text of more than a million bytes.
    """
    said = reason_of(reason)
    _check_id(rule_id)
    if (
        len(text.encode("utf-8", "replace")) > MAX_TEXT
        or text.encode("utf-8", "ignore").decode() != text
        or "\0" in text
    ):
        raise UserError(
            "draft.text",
            f"规则正文超过 {MAX_TEXT} 字节，或不是可存储的文本。",
            f"The text has more than {MAX_TEXT} bytes, or is not plain Unicode text.",
        )
    last = tx.scalar(sa.select(sa.func.max(VersionRow.version)).where(VersionRow.rule_id == rule_id)) or 0
    row = VersionRow(rule_id=rule_id, version=last + 1, text=text, actor=actor[:200], at=now, reason=said)
    tx.add(row)
    tx.flush()
    _audit(tx, "rule.draft", row, row.reason, actor=actor, now=now, source_ip=source_ip)
    return _version(row)


def publish(  # one row has these columns
    tx: Session,
    folder: Path,
    *,
    rule_id: str,
    version: int,
    actor: str,
    reason: str,
    now: datetime,
    source_ip: str = "",
) -> Path:
    """Put a version in force: its text becomes the rule's file in ``folder``, whole or not at all; audit it.

    Raises:
        UserError: there is no such version, or no reason was given.
    """
    said = reason_of(reason)
    row = _row(tx, rule_id, version)
    _audit(tx, "rule.publish", row, said, actor=actor, now=now, source_ip=source_ip)
    path = file_of(folder, rule_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(row.text.encode())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def withdraw(
    tx: Session, folder: Path, *, rule_id: str, actor: str, reason: str, now: datetime, source_ip: str = ""
) -> None:
    """Take the rule out of force; its versions stay. Audit it.

    Raises:
        UserError: it is not in force, or no reason was given.
    """
    said = reason_of(reason)
    path = file_of(folder, rule_id)
    if not path.is_file():
        raise UserError("draft.inactive", f"规则 {rule_id} 未启用。", f"Rule {rule_id} is not in force.")
    audit.record(
        tx,
        at=now,
        actor=actor,
        action="rule.withdraw",
        target=f"rule:{rule_id}",
        reason=said,
        source_ip=source_ip,
    )
    path.unlink()


def versions(tx: Session, rule_id: str) -> list[Version]:
    """Give every version of a rule, the newest first."""
    rows = tx.scalars(sa.select(VersionRow).where(VersionRow.rule_id == rule_id).order_by(VersionRow.version.desc()))
    return [_version(row) for row in rows]


def get(tx: Session, rule_id: str, version: int) -> Version:
    """Give one version.

    Raises:
        UserError: there is none.
    """
    return _version(_row(tx, rule_id, version))


def latest(tx: Session) -> list[Version]:
    """Give the newest version of every rule that was written in the console, by rule."""
    newest = sa.select(sa.func.max(VersionRow.id)).group_by(VersionRow.rule_id)
    rows = tx.scalars(sa.select(VersionRow).where(VersionRow.id.in_(newest)).order_by(VersionRow.rule_id))
    return [_version(row) for row in rows]


def running_version(tx: Session, folder: Path, rule_id: str) -> int | None:
    """Give the version whose text is in force; None for none, 0 for a file that somebody wrote by hand."""
    try:
        text = file_of(folder, rule_id).read_bytes()
    except OSError:
        return None
    return next((each.version for each in versions(tx, rule_id) if each.text.encode() == text), 0)


def file_of(folder: Path, rule_id: str) -> Path:
    """Give the file that a rule's text in force lies in.

    Raises:
        UserError: the id cannot be a file's name.
    """
    _check_id(rule_id)
    return folder / f"{rule_id}.yml"


def _check_id(rule_id: str) -> None:
    if not _FILE_ID.fullmatch(rule_id):
        raise UserError(
            "draft.id",
            f"规则编号 {rule_id[:40]!r} 无效；请用 UUID。",
            f"{rule_id[:40]!r} cannot be a rule's id; use a UUID.",
        )


def _row(tx: Session, rule_id: str, version: int) -> VersionRow:
    row = tx.scalar(sa.select(VersionRow).where(VersionRow.rule_id == rule_id, VersionRow.version == version))
    if row is None:
        raise UserError(
            "draft.unknown",
            f"规则 {rule_id[:128]} 没有第 {version} 版。",
            f"Rule {rule_id[:128]} has no version {version}.",
        )
    return row


def _audit(
    tx: Session, action: str, row: VersionRow, reason: str, *, actor: str, now: datetime, source_ip: str
) -> None:
    audit.record(
        tx,
        at=now,
        actor=actor,
        action=action,
        target=f"rule:{row.rule_id}",
        reason=reason,
        source_ip=source_ip,
        detail={"version": row.version},
    )


def _version(row: VersionRow) -> Version:
    return Version(
        rule_id=row.rule_id, version=row.version, text=row.text, actor=row.actor, at=row.at, reason=row.reason
    )
