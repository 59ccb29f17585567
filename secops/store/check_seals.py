"""Verifying that a log is what was sealed: the chains, the signed checkpoints over them, and every file against its seal.

May run beside a keeper: what it seals, or lets leave, meanwhile is no flaw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from secops.store import chain, checkpoints, digests, segment
from secops.store.check import Flaw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from secops.store.chain import Link
    from secops.store.checkpoints import Witness


def check_seals(
    directory: Path, partitions: int, witness: Witness, progress: Callable[[int, int], None] | None = None
) -> list[Flaw]:
    """Verify everything that was sealed; changes nothing. ``progress`` hears (segments done, of)."""
    path = checkpoints.path_of(directory)
    signed = chain.whole_lines(path)  # read first: then the chains hold all that is signed in it
    lines = {partition: chain.whole_lines(chain.path_of(directory, partition)) for partition in range(partitions)}
    flaws = [
        Flaw(str(chain.path_of(directory, partition)), found.at, found.why)
        for partition, each in lines.items()
        if (found := chain.find_break(each)) is not None
    ]
    unsigned = checkpoints.find_break(signed, lines, witness)
    if unsigned is not None:
        flaws.append(Flaw(str(path), unsigned.at, unsigned.why))
    paths = [path, *(chain.path_of(directory, partition) for partition in lines)]
    flaws += [flaw for each in paths for flaw in _torn(each)]
    if flaws:
        return flaws
    links = {partition: chain.read(directory, partition) for partition in lines}
    flaws += _oldest_flaws(directory, links, is_kept=bool(signed))
    return [*flaws, *_file_flaws(directory, links, progress)]


def _torn(path: Path) -> Iterator[Flaw]:
    """A last line that was not written whole; the next one cuts it."""
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        yield Flaw(str(path), whole, f"{len(content) - whole} bytes of a line that is not whole")


def _oldest_flaws(directory: Path, links: dict[int, list[Link]], *, is_kept: bool) -> Iterator[Flaw]:
    """Segments that are gone from the beginning without a tombstone; they may never have been sealed."""
    for partition, each in links.items():
        start = max((link.end for link in each if link.kind == chain.TOMBSTONE), default=0)
        paths = segment.list_segments(directory, partition)
        if paths and int(paths[0].stem) > start and (each or not is_kept):
            missing = segment.path_of(directory, partition, start)
            yield Flaw(str(missing), 0, f"events {start} to {int(paths[0].stem) - 1} are gone without a tombstone")


def _file_flaws(
    directory: Path, links: dict[int, list[Link]], progress: Callable[[int, int], None] | None
) -> Iterator[Flaw]:
    total, done = sum(len(chain.standing(each)) for each in links.values()), 0
    for partition, each in links.items():
        for seal in chain.standing(each):
            yield from _file_flaw(directory, partition, seal)
            done += 1
            if progress is not None:
                progress(done, total)


def _file_flaw(directory: Path, partition: int, seal: Link) -> Iterator[Flaw]:
    path = segment.path_of(directory, partition, seal.first)
    try:
        found = digests.of_file(path)
    except FileNotFoundError:
        if not _has_left(directory, partition, seal):
            yield Flaw(str(path), 0, "a sealed segment is gone without a tombstone")
        return
    if found.size != seal.fields["bytes"]:
        at = min(found.size, seal.fields["bytes"])
        yield Flaw(str(path), at, f"{found.size} bytes; {seal.fields['bytes']} were sealed")
    elif (found.sha256, found.sm3) != (seal.fields["sha256"], seal.fields["sm3"]):
        yield Flaw(str(path), 0, "its SHA-256 or SM3 is not the one that was sealed")


def _has_left(directory: Path, partition: int, seal: Link) -> bool:
    """Whether it left since the chain was read."""
    links = chain.read(directory, partition)
    return any(link.kind == chain.TOMBSTONE and link.first == seal.first for link in links)
