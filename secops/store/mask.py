"""Deciding a query on keyword columns: each distinct value is tested once per run of events, not once per event."""

from __future__ import annotations

from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, TypeAlias

from secops.records import TENANT
from secops.store import query
from secops.store.evaluate import value_test
from secops.store.fields import KEYWORD_SET
from secops.store.stretch import narrow, picked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secops.store.columns import Key
    from secops.store.shard import Chunk

    Owners: TypeAlias = tuple[list[Key], Sequence[int]]
    Mask: TypeAlias = Callable[[Chunk, Sequence[int]], int]


def columnar(node: query.Node) -> bool:
    """Whether the query looks at keyword fields only."""
    match node:
        case query.Not(item):
            return columnar(item)
        case query.And(items) | query.Or(items):
            return all(map(columnar, items))
        case query.All():
            return False
        case _:
            return node.field in KEYWORD_SET


def compile_mask(node: query.Node) -> Mask:
    """A function that gives, for some rows of a run, one byte a row (the first is the lowest): 1 where it matches."""
    match node:
        case query.Not(item):
            inner = compile_mask(item)
            return lambda chunk, rows: inner(chunk, rows) ^ every(len(rows))
        case query.And(items):
            return all_of([compile_mask(item) for item in items])
        case query.Or(items):
            some = [compile_mask(item) for item in items]
            return lambda chunk, rows: reduce(or_, [mask(chunk, rows) for mask in some])
        case query.Exists(field):
            return _on_column(field, lambda _: True)
        case query.Term() | query.Wild() | query.Regex() | query.Range() | query.Network():
            return _on_column(node.field or "", value_test(node))
        case _:
            raise AssertionError(f"{node} is not columnar")


def every(count: int) -> int:
    """The mask that lets so many rows through."""
    return int.from_bytes(b"\x01" * count, "little")


def all_of(masks: list[Mask]) -> Mask:
    """Rows that all masks let through."""
    return masks[0] if len(masks) == 1 else lambda chunk, rows: reduce(and_, [mask(chunk, rows) for mask in masks])


def owners_of(chunk: Chunk) -> Owners:
    """Whose the run's events are."""
    found = chunk.shard.keys(TENANT, chunk.id)
    if found is None:
        return [None], bytes(chunk.count)
    keys, codes = found
    return keys, narrow(codes[: chunk.count], len(keys))


def of_tenants(tenants: frozenset[str], owners: Callable[[Chunk], Owners]) -> Mask:
    """Rows of some of the tenants; ``owners`` may remember what ``owners_of`` gave."""

    def mask(chunk: Chunk, rows: Sequence[int]) -> int:
        keys, codes = owners(chunk)
        wanted = [not tenants.isdisjoint(_values(key)) for key in keys]
        if all(wanted):
            return every(len(rows))
        if not any(wanted):
            return 0
        if len(rows) == chunk.count:
            return int.from_bytes(picked(codes, wanted), "little")
        return int.from_bytes(bytes([wanted[codes[row - chunk.id]] for row in rows]), "little")

    return mask


def _on_column(field: str, test: Callable[[str], bool]) -> Mask:
    def mask(chunk: Chunk, rows: Sequence[int]) -> int:
        found = chunk.shard.keys(field, chunk.id)
        if found is None:
            return 0
        dictionary, codes = found
        if len(rows) == chunk.count:
            wanted = [any(map(test, _values(key))) for key in dictionary]
            return every(len(rows)) if all(wanted) else int.from_bytes(picked(codes[: len(rows)], wanted), "little")
        some = [codes[row - chunk.id] for row in rows]
        passed = {code: any(map(test, _values(dictionary[code]))) for code in set(some)}
        return int.from_bytes(bytes(map(passed.__getitem__, some)), "little")

    return mask


def _values(key: Key) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key or ()
