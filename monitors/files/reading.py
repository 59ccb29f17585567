"""What a file is, and its pieces, whatever kind it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from monitors.files import documents, packed, table, windows
from monitors.files.piece import FileRefused, Looked, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monitors.files.packed import Bounds, Member
    from monitors.files.table import Layout

KINDS: Final = ("evtx", "csv", "json")
_TABLES: Final = (".csv", ".tsv", ".tab", ".txt.csv")
_BEGINNING: Final = 4096


class Part(NamedTuple):
    """A piece and the file in the archive that it is of, "" when the file is no archive."""

    member: str
    piece: Piece


def read(path: Path, kind: str, layout: Layout, bounds: Bounds, name: str = "") -> Iterator[Part]:
    """The pieces of a file; ``kind`` is one of ``KINDS``, or "" to tell by the content and ``name``.

    Raises:
        FileRefused: nothing of it can be read, or it goes beyond the bounds; what came before is good.
    """
    with path.open("rb") as file:
        for member in packed.members(file, path, bounds):
            if member.stream is None:
                yield Part(member.name, Piece("file", error=member.reason))
                continue
            try:
                for piece in _pieces(member, kind, layout, member.name or name):
                    yield Part(member.name, piece)
            except FileRefused as refused:
                if refused.reason == "unpacked" or not member.name:
                    raise
                yield Part(member.name, Piece("file", error=refused.reason, note=str(refused)))


def _pieces(member: Member, kind: str, layout: Layout, name: str) -> Iterator[Piece]:
    assert member.stream is not None
    stream = Looked(member.stream, _BEGINNING)
    found = kind_of(stream.beginning, name)
    chosen = kind or found
    if (chosen == "evtx") != (found == "evtx"):
        raise FileRefused("kind", f"内容是 {found}，不是 {chosen}", f"its content is {found}, not {chosen}")
    if chosen == "csv":
        return table.read(stream, layout)
    return windows.read(stream) if chosen == "evtx" else documents.read(stream)


def peek(path: Path, kind: str, layout: Layout, bounds: Bounds, name: str = "") -> dict[str, Any]:
    """What the file, or the first readable file in it, is: its kind, and of a table the columns and first rows.

    Raises:
        FileRefused: nothing of it can be read.
    """
    reasons = []
    with path.open("rb") as file:
        for member in packed.members(file, path, bounds):
            if member.stream is None:
                reasons.append(member.reason)
                continue
            stream = Looked(member.stream, _BEGINNING)
            found = kind_of(stream.beginning, member.name or name)
            if kind and (kind == "evtx") != (found == "evtx"):
                if not member.name:
                    raise FileRefused("kind", f"内容是 {found}，不是 {kind}", f"its content is {found}, not {kind}")
                reasons.append("kind")
                continue
            told: dict[str, Any] = {"kind": kind or found, "columns": [], "rows": []}
            if told["kind"] == "csv":
                told["columns"], told["rows"] = table.peek(stream, layout)
            return told
    listed = ", ".join(sorted(set(reasons))) or "empty"
    raise FileRefused("nothing", f"其中没有可读取的文件（{listed}）", f"there is no readable file in it ({listed})")


def kind_of(beginning: bytes, name: str) -> str:
    """Tell the kind by the first bytes, and by the name where those do not say."""
    if beginning.startswith(windows.MAGIC):
        return "evtx"
    stem = name.lower().removesuffix(".gz")
    if stem.endswith(_TABLES):
        return "csv"
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    return "json" if text[:1] in {b"{", b"["} or stem.endswith((".json", ".jsonl", ".ndjson")) else "csv"
