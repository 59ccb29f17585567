from __future__ import annotations

import asyncio
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from monitors.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime


class ProbeSettings(BaseModel):
    """What every probe can be told; a kind adds its own fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str = Field(default="city", min_length=1, max_length=100)
    interval_seconds: float = Field(default=60.0, ge=1)
    timeout_seconds: float = Field(default=10.0, gt=0)


class Seen(NamedTuple):
    """What a probe saw: pass, fail, or unknown when it could not look (no data is never a pass)."""

    outcome: str
    detail: dict[str, Any]  # JSON values; "reason" is for people


class Probe:
    """Looks at one thing. A kind is a file in ``monitors/probes``; its class names its kind and its Settings."""

    kind: ClassVar[str] = ""
    Settings: ClassVar[type[ProbeSettings]] = ProbeSettings

    def __init_subclass__(cls, *, kind: str) -> None:
        """Name the kind of the subclass."""
        super().__init_subclass__()
        cls.kind = kind

    def __init__(self, settings: ProbeSettings) -> None:
        self.tenant = settings.tenant
        self.interval_seconds = settings.interval_seconds
        self.timeout_seconds = settings.timeout_seconds

    @property
    def subject(self) -> str:
        """What is looked at, e.g. ``tls://127.0.0.1:8443``."""
        raise NotImplementedError

    async def look(self, now: datetime) -> Seen:
        """Look once; may raise OSError when it cannot look."""
        raise NotImplementedError


def kinds() -> dict[str, type[Probe]]:
    """Walk ``monitors/probes`` and give every kind found there."""
    package = importlib.import_module("monitors.probes")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return {found.kind: found for found in Probe.__subclasses__() if found.__module__.startswith(package.__name__)}


def build(kind: str, settings: Mapping[str, Any]) -> Probe:
    """Make a probe of ``kind`` from plain settings.

    Raises:
        KeyError: there is no such kind.
        pydantic.ValidationError: a setting is unknown or wrong.
    """
    found = kinds()[kind]
    return found(found.Settings.model_validate(settings))


async def observe(probe: Probe, now: Callable[[], datetime]) -> Record:
    """Look once and give the observation as a record of the format ``probe``; never raises.

    Its JSON has the fields of an Observation: ``tenant``, ``subject``, ``check``, ``outcome``, ``observed_from``,
    ``observed_to``, ``collected_at``, ``received_at`` and ``detail``.
    """
    started = now()
    try:
        seen = await asyncio.wait_for(probe.look(started), probe.timeout_seconds)
    except TimeoutError:
        seen = Seen("unknown", {"reason": f"no answer within {probe.timeout_seconds:g} s"})
    except Exception as error:  # noqa: BLE001 - the loop guard: a probe that breaks has seen nothing, and says so
        seen = Seen("unknown", {"reason": f"{type(error).__name__}: {error}"[:500]})
    ended = now()
    observation = {
        "tenant": probe.tenant,
        "subject": probe.subject,
        "check": probe.kind,
        "outcome": seen.outcome,
        "observed_from": started.isoformat(),
        "observed_to": ended.isoformat(),
        "collected_at": ended.isoformat(),
        "received_at": ended.isoformat(),
        "detail": seen.detail,
    }
    return Record(orjson.dumps(observation), ended, probe.kind, "", probe.tenant, "probe")
