"""Lists of indicators (addresses, domains, hashes, URLs) of up to a million entries each, in bounded memory.

A list is a text file with an entry a line: the indicator, then, if wanted, a comma and a note. Lines that begin with
``#`` and empty lines are skipped. Of an entry nothing is kept but 64 bits of its hash, the number of its line and that
of its note: 20 MB for a million. What matched need not be kept, for the event's own value says it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops.match.text import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from pathlib import Path

LIST_SUFFIXES: Final = (".txt", ".csv")
MAX_BYTES: Final = 200 << 20
MAX_ENTRIES: Final = 2_000_000
MAX_LINE: Final = 4096
MAX_NOTES: Final = 65_535  # different ones
MAX_KNOWN: Final = 16_384  # values whose result is remembered,
MAX_KNOWN_TEXT: Final = 256  # ... of so many characters at most
MAX_LABELS: Final = 32  # of a domain name, counted from its end
_MASK: Final = (1 << 64) - 1
_WIDTH: Final = {4: 32, 6: 128}
_MAPPED: Final = bytes(10) + b"\xff\xff"  # RFC 4291, section 2.5.5.2
_HASH: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}")
_LABELS: Final = re.compile(r"[^\s./\\:@]{1,63}(\.[^\s./\\:@]{1,63})*")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.ASCII)
_HASHES_IN: Final = re.compile(r"[=,;\s]+")


class Entry(NamedTuple):
    """A line of a list that an event's value matched."""

    indicator: str
    line: int
    note: str


class Table:
    """Set of hashes with a line and a note each; open addressing, at most half full, so a look takes a step or two."""

    def __init__(self, capacity: int) -> None:
        self._size = 1 << max(4, (2 * capacity).bit_length())
        self._hashes = array("Q", bytes(8 * self._size))
        self._lines = array("I", bytes(4 * self._size))
        self._notes = array("H", bytes(2 * self._size))

    def _place(self, value: Hashable) -> tuple[int, int]:
        """The value's hash (never 0) and its place, or the free one where it belongs."""
        wanted = hash(value) & _MASK or 1
        hashes, last = self._hashes, self._size - 1
        at = (wanted ^ (wanted >> 32)) & last
        while (found := hashes[at]) and found != wanted:
            at = (at + 1) & last
        return wanted, at

    def add(self, value: Hashable, line: int, note: int) -> bool:
        """Take a value in; False when it was there."""
        wanted, at = self._place(value)
        if self._hashes[at]:
            return False
        self._hashes[at], self._lines[at], self._notes[at] = wanted, line, note
        return True

    def get(self, value: Hashable) -> tuple[int, int] | None:
        """Line and note of a value."""
        _, at = self._place(value)
        return (self._lines[at], self._notes[at]) if self._hashes[at] else None


class Indicators:
    """One list, as read."""

    def __init__(self, kind: str, capacity: int) -> None:
        self._shape = SHAPES[kind]
        self._table = Table(capacity)
        self._notes: dict[str, int] = {"": 0}
        self._texts = [""]
        self._known: dict[str, Entry | None] = {}  # values looked for lately: the same come again and again
        self._lengths: list[tuple[int, int]] = []  # of ip: (version, prefix length) that occur, the longest first
        self.entries = 0
        self.unreadable = 0  # lines that are no indicator of the kind, and those beyond the bounds
        self.first_unreadable = 0  # line of the first of them

    def add(self, line: int, text: str) -> None:
        """Take a line in."""
        indicator, _, note = text.partition(",")
        key = self._shape.read(indicator.strip().strip('"'))
        if key is None or self.entries >= MAX_ENTRIES:
            self.unreadable += 1
            self.first_unreadable = self.first_unreadable or line
            return
        if self._table.add(key, line, self._note(note.strip().strip('"')[:256])):
            self.entries += 1
        if isinstance(key, tuple) and key[:2] not in self._lengths:
            self._lengths = sorted([*self._lengths, key[:2]], reverse=True)

    def lengths(self) -> list[tuple[int, int]]:
        """Version and prefix length of the networks that occur, the longest prefix first."""
        return self._lengths

    def _note(self, note: str) -> int:
        number = self._notes.get(note)
        if number is None:
            if len(self._texts) >= MAX_NOTES:
                return 0
            number = self._notes[note] = len(self._texts)
            self._texts.append(note)
        return number

    def find(self, text: str) -> Entry | None:
        """The most specific entry that the text of an event's field matches."""
        known = self._known
        if text in known:
            return known[text]
        found = self._look(text)
        if len(text) <= MAX_KNOWN_TEXT:
            if len(known) >= MAX_KNOWN:
                known.clear()
            known[text] = found
        return found

    def _look(self, text: str) -> Entry | None:
        for key in self._shape.candidates(text, self):
            found = self._table.get(key)
            if found is not None:
                return Entry(self._shape.show(key), found[0], self._texts[found[1]])
        return None


def read_list(path: Path, kind: str) -> Indicators:
    """A list file; read once for each version of the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large or not UTF-8.
    """
    seen = path.stat()
    if seen.st_size > MAX_BYTES:
        raise ValueError(f"{path.name} is larger than {MAX_BYTES >> 20} MB")
    return _read(path, kind, seen.st_mtime_ns, seen.st_size)


@lru_cache(maxsize=16)
def _read(path: Path, kind: str, _changed: int, size: int) -> Indicators:
    with path.open("rb") as file:
        lines = sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b"")) + 1
    found = Indicators(kind, min(lines, MAX_ENTRIES, size // 2 + 1))
    with path.open(encoding="utf-8-sig") as texts:
        for number, text in enumerate(iter(lambda: texts.readline(MAX_LINE), ""), 1):
            stripped = text.strip()
            if stripped and not stripped.startswith("#"):
                found.add(number, stripped)
    return found


class Shape(NamedTuple):
    """How indicators of a kind are written, and looked for."""

    read: Callable[[str], Hashable | None]  # an entry of the list -> what is kept of it; None: not one
    candidates: Callable[[str, Indicators], Iterator[Hashable]]  # a value -> what to look for, the most specific first
    show: Callable[[Any], str] = str  # what was looked for, for people


def _network(text: str) -> tuple[int, int, int] | None:
    """Version, prefix length and the bits of the prefix."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return (
        network.version,
        network.prefixlen,
        int(network.network_address) >> (network.max_prefixlen - network.prefixlen),
    )


def _networks(text: str, listed: Indicators) -> Iterator[tuple[int, int, int]]:
    """Every network that the address is in, of the sizes that the list has, the smallest first."""
    packed = _packed(text.partition("%")[0])
    if packed is None:
        return
    bits, width = int.from_bytes(packed, "big"), 8 * len(packed)
    wanted = 4 if width == _WIDTH[4] else 6
    for version, length in listed.lengths():
        if version == wanted:
            yield version, length, bits >> (width - length)


def _packed(text: str) -> bytes | None:
    """The bytes of an address; those of the inner one when IPv4 is written as IPv6."""
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def _written(network: tuple[int, int, int]) -> str:
    version, length, bits = network
    whole = ipaddress.ip_network((bits << (_WIDTH[version] - length)).to_bytes(_WIDTH[version] // 8, "big"))
    return str(whole.network_address) if length == _WIDTH[version] else f"{whole.network_address}/{length}"


def domain(text: str) -> str | None:
    """A domain name in the form in which names are compared; None when it is none."""
    name = fold(text.strip()).rstrip(".")[:512]
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            return None
    return name if _LABELS.fullmatch(name) else None


def _listed_domain(text: str) -> str | None:
    return domain(text.removeprefix("*").removeprefix("."))


def _domains(text: str, _: Indicators) -> Iterator[str]:
    """The name, and each name that it ends in after a dot."""
    name = domain(text)
    if name is None:
        return
    labels = name.split(".")
    for at in range(max(0, len(labels) - MAX_LABELS), len(labels)):
        yield ".".join(labels[at:])


def _hash(text: str) -> str | None:
    value = text.lower()
    return value if _HASH.fullmatch(value) else None


def _hashes(text: str, _: Indicators) -> Iterator[str]:
    """The hashes of a value: one, or several with their names (``SHA1=...,MD5=...``)."""
    for part in _HASHES_IN.split(text[:1024].lower()):
        if _HASH.fullmatch(part):
            yield part


def url(text: str) -> str | None:
    """A URL without scheme, port 80 or 443, fragment and a lone final slash, its host folded; None when it is none."""
    value = text.strip()[:MAX_LINE]
    found = _SCHEME.match(value.lower())
    rest = (value[found.end() :] if found else value).partition("#")[0]
    host, slash, path = rest.partition("/")
    host = fold(host).removesuffix(":80").removesuffix(":443")
    return f"{host}{slash}{path}".removesuffix("/") if host and " " not in host else None


def _urls(text: str, _: Indicators) -> Iterator[str]:
    found = url(text)
    if found is not None:
        yield found


SHAPES: Final[Mapping[str, Shape]] = {
    "ip": Shape(_network, _networks, _written),
    "domain": Shape(_listed_domain, _domains),
    "hash": Shape(_hash, _hashes),
    "url": Shape(url, _urls),
}


def texts_of(value: Any) -> Iterator[str]:  # noqa: ANN401 - an event's value
    """The texts of a field, whose value may be a list; what is longer than a line of a list stands on none."""
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, str) and len(each) <= MAX_LINE:
            yield each
