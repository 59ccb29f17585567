"""Remembers up to a million things by 64 bits each: when they were last met, and a small number.

Nothing but the fingerprint of a thing is kept, 16 bytes in all: the records lie sorted in arrays, in buckets chosen by
the fingerprint. A bucket is one entry of the stored state, so a change writes a kilobyte at most, and never all.
Two of a million things have the same fingerprint once in 37 million ledgers.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT: Final = 1_000_000
BUCKETS: Final = 16_384
NUMBER_BITS: Final = 40
MAX_NUMBER: Final = (1 << NUMBER_BITS) - 1
MAX_AGE: Final = (1 << 24) - 1
_MASK: Final = (1 << 64) - 1
_ODD: Final = 0x9E37_79B9_7F4A_7C15
_HEAD: Final = struct.Struct("<QI")  # what the records mean, bucket
_SWEPT: Final = 64  # buckets looked through at each ``expire``


def mixed(fingerprint: int, number: int) -> int:
    """The fingerprint of a thing together with a number (its day, its role)."""
    value = ((fingerprint ^ (number * _ODD)) * _ODD) & _MASK
    return value ^ (value >> 32)


class Ledger:
    """Fingerprint -> (age, number): the age is a count of days or hours and has 24 bits, the number has 40."""

    def __init__(self, rule_id: str, meaning: int, *, limit: int = LIMIT) -> None:
        """``meaning`` are 64 bits that differ when stored records would mean something else."""
        self._rule_id = rule_id
        self._meaning = meaning
        self._limit = limit
        self._fingerprints: dict[int, array[int]] = {}
        self._records: dict[int, array[int]] = {}
        self._changed: dict[int, None] = {}
        self._sweep = 0  # bucket to be looked through next
        self._age, self._left = 0, 0  # what is being swept out, and how many buckets are left to be looked through
        self.evicted = 0
        self.size = 0

    def get(self, fingerprint: int) -> tuple[int, int] | None:
        """Age and number of a thing; None when it is not known."""
        bucket = fingerprint % BUCKETS
        listed = self._fingerprints.get(bucket)
        if listed is None:
            return None
        at = bisect_left(listed, fingerprint)
        if at == len(listed) or listed[at] != fingerprint:
            return None
        record = self._records[bucket][at]
        return record >> NUMBER_BITS, record & MAX_NUMBER

    def put(self, fingerprint: int, age: int, number: int = 0) -> None:
        """Remember a thing; when there are too many, the oldest of its bucket is forgotten and counted."""
        bucket = fingerprint % BUCKETS
        listed = self._fingerprints.get(bucket)
        if listed is None:
            listed = self._fingerprints[bucket] = array("Q")
            self._records[bucket] = array("Q")
        records = self._records[bucket]
        at = bisect_left(listed, fingerprint)
        record = (min(max(age, 0), MAX_AGE) << NUMBER_BITS) | min(max(number, 0), MAX_NUMBER)
        self._changed[bucket] = None
        if at < len(listed) and listed[at] == fingerprint:
            records[at] = record
            return
        listed.insert(at, fingerprint)
        records.insert(at, record)
        self.size += 1
        if self.size > self._limit and len(listed) > 1:
            self._evict(bucket, fingerprint)

    def _evict(self, bucket: int, spared: int) -> None:
        listed, records = self._fingerprints[bucket], self._records[bucket]
        oldest = min((record, at) for at, record in enumerate(records) if listed[at] != spared)[1]
        del listed[oldest], records[oldest]
        self.size -= 1
        self.evicted += 1

    def expire(self, age: int) -> None:
        """Forget what is older; a few buckets at each call, and nothing until the age rises again."""
        if age != self._age:
            self._age, self._left = age, BUCKETS
        for _ in range(min(_SWEPT, self._left)):
            self._left -= 1
            bucket = self._sweep = (self._sweep + 1) % BUCKETS
            records = self._records.get(bucket)
            if records is not None and min(records) >> NUMBER_BITS < age:
                self._cut(bucket, age)

    def _cut(self, bucket: int, age: int) -> None:
        pairs = list(zip(self._fingerprints[bucket], self._records[bucket], strict=True))
        kept = [(each, record) for each, record in pairs if record >> NUMBER_BITS >= age]
        self.size -= len(pairs) - len(kept)
        self._changed[bucket] = None
        if kept:
            self._fingerprints[bucket] = array("Q", [each for each, _ in kept])
            self._records[bucket] = array("Q", [record for _, record in kept])
        else:
            del self._fingerprints[bucket], self._records[bucket]

    def take_changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Buckets that changed since the last call; None for those that are empty now."""
        changed, self._changed = self._changed, {}
        for bucket in changed:
            yield f"{self._rule_id}:{bucket:04x}", self._dump(bucket)

    def _dump(self, bucket: int) -> bytes | None:
        listed = self._fingerprints.get(bucket)
        if listed is None:
            return None
        numbers = (*listed, *self._records[bucket])
        return _HEAD.pack(self._meaning, bucket) + struct.pack(f"<{len(numbers)}Q", *numbers)

    def restore(self, data: bytes) -> None:
        """Take back one bucket.

        Raises:
            ValueError: it is not one, or its records mean something else.
        """
        count, rest = divmod(len(data) - _HEAD.size, 16)
        if count < 1 or rest:
            raise ValueError("not a bucket of a ledger")
        meaning, bucket = _HEAD.unpack_from(data)
        if meaning != self._meaning or bucket >= BUCKETS:
            raise ValueError("the rule has changed")
        numbers = array("Q", struct.unpack_from(f"<{2 * count}Q", data, _HEAD.size))
        self._fingerprints[bucket], self._records[bucket] = numbers[:count], numbers[count:]
        self.size += count
