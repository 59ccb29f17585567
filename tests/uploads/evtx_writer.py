"""Writes small Windows event files, for tests: header, chunks of 64 KiB, records of binary XML without templates.

After the published description of the format (libyal/libevtx, "Windows XML Event Log (EVTX)"). Values are written as text, which
readers must take as well as typed ones.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

HEADER = 4096
CHUNK = 65536
RECORDS_AT = 512  # within a chunk
_1601 = datetime(1601, 1, 1, tzinfo=UTC)

Attributes = Mapping[str, str]


def evtx(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """An event file of these records; each is ``{"Event": {"System": {...}, "EventData": {...}}}`` as readers give it."""
    chunks: list[bytes] = []
    waiting = _Chunk(1)
    number = 0
    for number, document in enumerate(documents, 1):
        if not waiting.add(number, document):
            chunks.append(waiting.finish())
            waiting = _Chunk(number)
            assert waiting.add(number, document), "a record that does not fit into a chunk"
    chunks.append(waiting.finish())
    head = struct.pack("<8sQQQIHHHH", b"ElfFile\0", 0, len(chunks) - 1, number + 1, 128, 1, 3, HEADER, len(chunks))
    head = head.ljust(120, b"\0") + struct.pack("<II", 0, 0)
    head = head[:124] + struct.pack("<I", zlib.crc32(head[:120]))
    return head.ljust(HEADER, b"\0") + b"".join(chunks)


class _Chunk:
    def __init__(self, first: int) -> None:
        self.first, self.last, self.at_last = first, first - 1, 0
        self.data = bytearray(RECORDS_AT)

    def add(self, number: int, document: Mapping[str, Any]) -> bool:
        start = len(self.data)
        body = _Xml(start + 24)
        body.root(document)
        size = 24 + len(body.out) + 4
        if start + size > CHUNK:
            return False
        self.data += (
            struct.pack("<IIQQ", 0x2A2A, size, number, _filetime(document)) + body.out + struct.pack("<I", size)
        )
        self.last, self.at_last = number, start
        return True

    def finish(self) -> bytes:
        end = len(self.data)
        head = struct.pack("<8sQQQQIII", b"ElfChnk\0", *(self.first, self.last) * 2, 128, self.at_last, end)
        head += struct.pack("<I", zlib.crc32(self.data[RECORDS_AT:]))
        head = head.ljust(120, b"\0")
        head += struct.pack("<II", 0, zlib.crc32(head + bytes(RECORDS_AT - 128)))
        self.data[: len(head)] = head
        return bytes(self.data).ljust(CHUNK, b"\0")


class _Xml:
    """Binary XML that begins at ``base`` of its chunk; names are written out where they stand."""

    def __init__(self, base: int) -> None:
        self.base = base
        self.out = bytearray(b"\x0f\x01\x01\x00")

    def root(self, document: Mapping[str, Any]) -> None:
        self._element("Event", {}, document["Event"])
        self.out += b"\x00"

    def _children(self, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, child in value.items():
                if name == "#attributes":
                    continue
                if name == "#text":
                    self._text(child)
                    continue
                for one in child if isinstance(child, list) else [child]:
                    self._element(name, one.get("#attributes", {}) if isinstance(one, Mapping) else {}, one)
        elif value is not None:
            self._text(value)

    def _data(self, value: Mapping[str, Any]) -> None:
        for name, child in value.items():
            if name != "#attributes":
                self._element("Data", {"Name": name}, child)

    def _element(self, name: str, attributes: Attributes, value: Any) -> None:
        self.out += b"\x41" if attributes else b"\x01"
        size_at = len(self.out)
        self.out += bytes(4)
        self._name(name)
        if attributes:
            self._attributes(attributes)
        self.out += b"\x02"
        if name == "EventData" and isinstance(value, Mapping):
            self._data(value)
        else:
            self._children(value)
        self.out += b"\x04"
        self.out[size_at : size_at + 4] = struct.pack("<I", len(self.out) - size_at - 4)

    def _attributes(self, attributes: Attributes) -> None:
        size_at, left = len(self.out), len(attributes)
        self.out += bytes(4)
        for name, value in attributes.items():
            left -= 1
            self.out += b"\x46" if left else b"\x06"
            self._name(name)
            self._text(value)
        self.out[size_at : size_at + 4] = struct.pack("<I", len(self.out) - size_at - 4)

    def _name(self, name: str) -> None:
        self.out += struct.pack("<I", self.base + len(self.out) + 4)
        hashed = 0
        for character in name:
            hashed = (hashed * 65599 + ord(character)) & 0xFFFFFFFF
        self.out += struct.pack("<IHH", 0, hashed & 0xFFFF, len(name)) + name.encode("utf-16-le") + b"\0\0"

    def _text(self, value: Any) -> None:
        encoded = str(value).encode("utf-16-le")
        self.out += struct.pack("<BBH", 5, 1, len(encoded) // 2) + encoded


def _filetime(document: Mapping[str, Any]) -> int:
    created = document["Event"]["System"].get("TimeCreated", {}).get("#attributes", {}).get("SystemTime", "")
    try:
        at = datetime.fromisoformat(created)
    except ValueError:
        return 0
    return int((at - _1601).total_seconds() * 10_000_000)
