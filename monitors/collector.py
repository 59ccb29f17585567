from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from monitors.budget import Budgets
from monitors.record import SinkFull

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from monitors.record import Record, Sink

RETRY_SECONDS = 1.0  # how long a collector that can wait does so while the disk is full


class CollectorSettings(BaseModel):
    """What every collector can be told; a kind adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str = Field(default="city", min_length=1, max_length=100)


@dataclass(slots=True)
class Counters:
    """Running totals by collector kind; ``connections`` is how many are open now.

    ``received`` counts messages taken from a source, ``dropped`` those lost before they were durable (a full queue, a
    full kernel buffer), ``rejected`` those or the connections refused on purpose (limits, tokens, rate).
    """

    received: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    connections: Counter[str] = field(default_factory=Counter)
    handshakes: Counter[str] = field(default_factory=Counter)  # TLS, under way now
    handshakes_failed: Counter[str] = field(default_factory=Counter)  # or not finished in time
    silent: Counter[str] = field(default_factory=Counter)  # connections closed because nothing at all came


@dataclass(frozen=True, slots=True)
class Status:
    """How a source is doing, for people; ``ok`` is False when it gathers nothing and somebody should look."""

    ok: bool
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a collector is given beside its settings."""

    counters: Counters = field(default_factory=Counters)
    positions: Mapping[str, Any] = field(default_factory=dict)  # source -> where to resume, as the log stored it
    refresh_tokens: Callable[[], None] = lambda: None  # asked before a token is refused: it may be a second old
    wait: Callable[[str], float] = lambda _tenant: 0.0  # seconds that a tenant over its quota has to wait; 0: none
    revoked: Callable[[], bytes] = bytes  # our own authority's newest list of revoked certificates, DER; empty: none
    endpoints: frozenset[str] = frozenset()  # hosts (with ports) of own clouds that may be asked for their trails
    budgets: Budgets = field(default_factory=Budgets)  # requests by account, whichever collector sends them
    tokens: Callable[[], Mapping[str, str]] = dict  # SHA-256 of a push token (hex) -> tenant, read at every request


class Collector:
    """A source of records. A kind is a file in ``monitors/collectors``; its class names its kind and its Settings."""

    kind: ClassVar[str] = ""
    Settings: ClassVar[type[CollectorSettings]] = CollectorSettings

    def __init_subclass__(cls, *, kind: str) -> None:
        """Name the kind of the subclass."""
        super().__init_subclass__()
        cls.kind = kind

    def __init__(self, settings: CollectorSettings, surroundings: Surroundings) -> None:
        self.tenant = settings.tenant
        self.surroundings = surroundings
        self.counters = surroundings.counters
        self.ready = asyncio.Event()  # set once the source is open: a listener has its ports then
        self.status = Status(ok=False, zh="尚未启动", en="not started yet")

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Gather until ``stop`` is set; raise OSError when the source cannot be opened at all (address in use)."""
        raise NotImplementedError

    def running(self, zh: str, en: str) -> None:
        """Say that the source is gathering."""
        self.status = Status(ok=True, zh=zh, en=en)

    def failing(self, zh: str, en: str) -> None:
        """Say that the source gathers nothing, and why."""
        self.status = Status(ok=False, zh=zh, en=en)


def kinds() -> dict[str, type[Collector]]:
    """Walk ``monitors/collectors`` and give every kind found there."""
    package = importlib.import_module("monitors.collectors")
    modules = [
        importlib.import_module(f"{package.__name__}.{one.name}") for one in pkgutil.iter_modules(package.__path__)
    ]
    return {
        found.kind: found
        for module in modules
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Collector) and found.__module__ == module.__name__
    }


def build(kind: str, settings: Mapping[str, Any], surroundings: Surroundings) -> Collector:
    """Make a collector of ``kind`` from plain settings.

    Raises:
        KeyError: there is no such kind.
        pydantic.ValidationError: a setting is unknown or wrong.
    """
    found = kinds()[kind]
    return found(found.Settings.model_validate(settings), surroundings)


async def submit_patiently(sink: Sink, records: Sequence[Record], stop: asyncio.Event) -> bool:
    """Submit, trying again while the disk is full; ``False`` when ``stop`` came first and nothing was taken.

    For sources that keep their data until it is read: a file, the journal, a TCP peer that waits.
    """
    while True:
        try:
            await sink.submit(records)
        except SinkFull:
            if await stopped_within(stop, RETRY_SECONDS):
                return False
        else:
            return True


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait at most ``seconds`` for ``stop``; say whether it is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()
