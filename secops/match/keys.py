"""Group keys: what tells the streams of one rule apart, and the state that a rule keeps of each."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

import orjson

from secops.match.text import MAX_TEXT, scalars, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from secops.records import RuleInfo

Key: TypeAlias = tuple[str, ...]
"""The tenant, then the values of the group-by fields."""

DEFAULT_GROUP: Final = ("host.name",)
State = TypeVar("State")

MAX_VALUE: Final = 256  # characters of a group value that tell keys apart; longer ones are hashed


def key_of(tenant: str, fields: Mapping[str, Any], names: Iterable[str]) -> Key:
    """The key of an event; a field that is not there counts as the empty text."""
    return (tenant, *[group_value(fields.get(name)) for name in names])


def group_value(value: object) -> str:
    """A field's value as part of a key: its text, or JSON of what has none; beyond ``MAX_VALUE`` cut and hashed."""
    if type(value) is str and len(value) <= MAX_VALUE and value.isascii():
        return value
    text = text_of(value)
    if text is None:
        text = "" if value is None else _json(value)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate could not be stored
    if len(text) <= MAX_VALUE:
        return text
    return f"{text[:MAX_VALUE]}…{blake2b(text.encode('utf-8', 'replace'), digest_size=8).hexdigest()}"


def _json(value: object) -> str:
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # a number or a text that JSON has no room for
        return repr(value)[:MAX_TEXT]


def plain_group(info: RuleInfo, fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What the hits of a rule that counts nothing are grouped by."""
    return tuple((name, _shown(fields.get(name))) for name in info.group_by or DEFAULT_GROUP)


def _shown(value: object) -> str:
    return ", ".join(text for each in scalars(value) if (text := text_of(each)) is not None)[:MAX_VALUE]


def digest(key: Key) -> str:
    """A short name of a key, for the name of its state entry."""
    return blake2b(_bytes(key), digest_size=16).hexdigest()


def fingerprint(key: Key) -> int:
    """64 bits that stand for a key where a million of them are remembered."""
    return int.from_bytes(blake2b(_bytes(key), digest_size=8).digest(), "little")


def _bytes(key: Key) -> bytes:
    return repr(key).encode()  # says where each value ends, and escapes what could not be encoded


class Kept(Generic[State]):
    """States by key, those of each tenant in the order in which they were seen.

    When room is wanted, the tenant with the most keys gives up the one it has not seen for longest: a flood of keys from
    one tenant's senders pushes out nothing of the others.
    """

    def __init__(self) -> None:
        self._tenants: dict[str, OrderedDict[Key, State]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[Key, State]]:
        return chain.from_iterable(states.items() for states in self._tenants.values())

    def get(self, key: Key) -> State | None:
        """The state of a key."""
        states = self._tenants.get(key[0])
        return None if states is None else states.get(key)

    def seen(self, key: Key) -> None:
        """A key that is there was seen."""
        self._tenants[key[0]].move_to_end(key)

    def put(self, key: Key, state: State) -> None:
        """Keep the state of a key."""
        states = self._tenants.get(key[0])
        if states is None:
            states = self._tenants[key[0]] = OrderedDict()
        self._count += key not in states
        states[key] = state

    def remove(self, key: Key) -> State:
        """Forget a key that is there."""
        states = self._tenants[key[0]]
        state = states.pop(key)
        self._count -= 1
        if not states:
            del self._tenants[key[0]]
        return state

    def first(self, count: int) -> Iterator[tuple[Key, State]]:
        """Of each tenant the keys not seen for longest."""
        return chain.from_iterable(islice(states.items(), count) for states in self._tenants.values())

    def largest(self) -> Key:
        """The key that goes first when room is wanted."""
        return self.oldest(max(self._tenants, key=lambda tenant: len(self._tenants[tenant])))

    def oldest(self, tenant: str) -> Key:
        """The key that a tenant, which has some, has not seen for longest."""
        return next(iter(self._tenants[tenant]))

    def order(self, seen: Callable[[State], int]) -> None:
        """After restoring: keys by when they were last seen."""
        for tenant, states in self._tenants.items():
            self._tenants[tenant] = OrderedDict(sorted(states.items(), key=lambda item: (seen(item[1]), item[0])))


class Groups(Generic[State]):
    """State by key, of which at most ``limit`` are kept; see ``Kept``."""

    def __init__(self, rule_id: str, limit: int) -> None:
        self._rule_id = rule_id
        self._limit = limit
        self._states: Kept[State] = Kept()
        self._changed: dict[Key, None] = {}
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[tuple[Key, State]]:
        return iter(self._states)

    def first(self, count: int) -> Iterator[tuple[Key, State]]:
        """Of each tenant the keys not seen for longest."""
        return self._states.first(count)

    def get(self, key: Key) -> State | None:
        """The state of a key, which then counts as seen and changed."""
        state = self._states.get(key)
        if state is not None:
            self._states.seen(key)
            self._changed[key] = None
        return state

    def peek(self, key: Key) -> State | None:
        """The state of a key, without a trace."""
        return self._states.get(key)

    def put(self, key: Key, state: State) -> State:
        """Keep the state of a new key."""
        if len(self._states) >= self._limit and self._states.get(key) is None:
            gone = self._states.largest()
            self._states.remove(gone)
            self._changed[gone] = None
            self.evicted += 1
        self._states.put(key, state)
        self._changed[key] = None
        return state

    def changed(self, key: Key) -> None:
        """The state of a key changed, though it was not seen."""
        self._changed[key] = None

    def remove(self, key: Key) -> None:
        """Forget a key."""
        self._states.remove(key)
        self._changed[key] = None

    def take_changes(self, dump: Callable[[Key, State], bytes]) -> dict[str, bytes | None]:
        """State entries that changed since the last call; None for keys that are gone."""
        changed, self._changed = self._changed, {}
        entries: dict[str, bytes | None] = {}
        for key in changed:
            state = self._states.get(key)
            entries[f"{self._rule_id}:{digest(key)}"] = None if state is None else dump(key, state)
        return entries

    def restored(self, key: Key, state: State) -> None:
        """Take back a key from what was stored."""
        self._states.put(key, state)

    def order(self, seen: Callable[[State], int]) -> None:
        """After restoring: keys by when they were last seen."""
        self._states.order(seen)
