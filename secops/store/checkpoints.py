"""Checkpoints over the chains of all partitions: one signed line each, in ``<log>/seals/checkpoints.jsonl``.

A line holds ``body`` (JSON with sorted keys), ``signature`` over exactly those bytes and the signer's ``chain``. The body
names, for every partition, which links are new since the last checkpoint and the newest one's hash; ``root`` is the root
of a Merkle tree (RFC 6962) whose leaves are the new links in order of partition and number; ``previous`` is the SHA-256
of the body before. How a tree is made, who signs and who verifies are arguments: another stage knows that.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from secops.store import chain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from secops.store.chain import Link

FORMAT: Final = 1
NAME: Final = "checkpoints.jsonl"
TIME: Final = "at"


class Signed(Protocol):
    """What a signer gives back."""

    @property
    def signature(self) -> bytes:
        """Over the exact bytes that were handed in."""
        ...

    @property
    def chain_pem(self) -> bytes:
        """The signer's certificates, its own first."""
        ...


@dataclass(frozen=True, slots=True)
class Witness:
    """How checkpoints are made and verified.

    ``root`` gives the Merkle root over leaves' bytes, ``sign`` signs, ``doubt`` says why a signature at a time is not to
    be believed: (data, signature, chain in PEM, time) -> reason, empty when it is good.
    """

    root: Callable[[Sequence[bytes]], bytes]
    sign: Callable[[bytes], Signed]
    doubt: Callable[[bytes, bytes, bytes, datetime], str]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint as it is stored."""

    body: dict[str, Any]
    text: bytes  # of the body: what was signed
    signature: bytes
    chain_pem: bytes

    @property
    def at(self) -> datetime:
        """When it was signed."""
        return datetime.fromisoformat(self.body[TIME])

    def reached(self, partition: int) -> int:
        """How many links of a partition are covered by it and the ones before."""
        covered = self.body["partitions"].get(str(partition))
        return int(covered["to"]) if covered else 0


def path_of(directory: Path) -> Path:
    """The file of checkpoints."""
    return directory / chain.FOLDER / NAME


def read(directory: Path) -> list[Checkpoint]:
    """All checkpoints, in order; not verified.

    Raises:
        ValueError: a line is not one of ours.
    """
    return [parse(line) for line in chain.whole_lines(path_of(directory))]


def parse(line: bytes) -> Checkpoint:
    """Read one line.

    Raises:
        ValueError: it is not one of ours.
    """
    try:
        whole = orjson.loads(line)
        text = whole["body"].encode()
        body = orjson.loads(text)
        found = Checkpoint(body, text, base64.b64decode(whole["signature"], validate=True), whole["chain"].encode())
        if found.at.tzinfo is None:
            raise ValueError(f"the time {body[TIME]!r:.40} has no zone")
        {
            int(number): (covered["from"], covered["to"], covered["head"])
            for number, covered in body["partitions"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a checkpoint: {error!r}") from error
    return found


def make(
    links: Mapping[int, Sequence[Link]],
    last: Checkpoint | None,
    witness: Witness,
    *,
    ends: Sequence[int],
    now: datetime,
) -> Checkpoint:
    """A signed checkpoint over all links behind ``last``; ``ends`` are the log's durable ends. Effects are the signer's."""
    partitions, leaves = {}, []
    for partition, all_links in sorted(links.items()):
        start = last.reached(partition) if last else 0
        leaves += [link.line for link in all_links[start:]]
        head = all_links[-1].hash if all_links else chain.GENESIS
        partitions[str(partition)] = {"from": start, "to": len(all_links), "head": head}
    body = {
        "format": FORMAT,
        "number": int(last.body["number"]) + 1 if last else 0,
        TIME: now.isoformat(),
        "previous": hashlib.sha256(last.text).hexdigest() if last else chain.GENESIS,
        "partitions": partitions,
        "root": witness.root(leaves).hex(),
        "ends": list(ends),
    }
    text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    signed = witness.sign(text)
    return Checkpoint(body, text, signed.signature, signed.chain_pem)


def append(directory: Path, checkpoint: Checkpoint) -> None:
    """Store a checkpoint behind the others, durably."""
    whole = {
        "body": checkpoint.text.decode(),
        "signature": base64.b64encode(checkpoint.signature).decode(),
        "chain": checkpoint.chain_pem.decode(),
    }
    chain.append_line(path_of(directory), orjson.dumps(whole))


def find_break(lines: Sequence[bytes], links: Mapping[int, Sequence[bytes]], witness: Witness) -> chain.Break | None:
    """The first checkpoint that does not follow the one before, match the chains' lines or bear a good signature."""
    at, last = 0, None
    for line in lines:
        try:
            found = parse(line)
        except ValueError as error:
            return chain.Break(at, str(error))
        why = _doubt(found, last, links, witness)
        if why:
            return chain.Break(at, f"checkpoint {found.body.get('number')}: {why}")
        at, last = at + len(line) + 1, found
    return None


def _doubt(found: Checkpoint, last: Checkpoint | None, links: Mapping[int, Sequence[bytes]], witness: Witness) -> str:
    why = witness.doubt(
        found.text, found.signature, found.chain_pem, found.at
    )  # first: only what was signed is read on
    if why:
        return why
    if found.body["previous"] != (hashlib.sha256(last.text).hexdigest() if last else chain.GENESIS):
        return "it does not follow the checkpoint before it"
    leaves: list[bytes] = []
    for partition, covered in sorted((int(number), covered) for number, covered in found.body["partitions"].items()):
        lines = links.get(partition, ())
        start, end = covered["from"], covered["to"]
        if start != (last.reached(partition) if last else 0) or not start <= end <= len(lines):
            return f"partition {partition} has {len(lines)} links where {end} were signed"
        if covered["head"] != (hashlib.sha256(lines[end - 1]).hexdigest() if end else chain.GENESIS):
            return f"the chain of partition {partition} is not the one that was signed"
        leaves += lines[start:end]
    if witness.root(leaves).hex() != found.body["root"]:
        return "the Merkle root is another"
    return ""
