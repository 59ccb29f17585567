from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from monitors.record import Record
from secops.normalise import normalise

if TYPE_CHECKING:
    from collections.abc import Callable

RECEIVED = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)


@pytest.fixture
def read() -> Callable[..., list[dict[str, Any]]]:
    """Normalise one message."""

    def read_one(
        raw: bytes | str, form: str = "syslog", *, received: datetime = RECEIVED, **fields: Any
    ) -> list[dict[str, Any]]:
        data = raw.encode() if isinstance(raw, str) else raw
        record = Record(
            data, received, fields.pop("collector", "syslog"), fields.pop("peer", "192.0.2.7:514"), "city", form
        )
        return normalise([record._replace(**fields)])

    return read_one


@pytest.fixture
def one(read: Callable[..., list[dict[str, Any]]]) -> Callable[..., dict[str, Any]]:
    """Normalise one message into one event."""

    def read_one(*args: Any, **fields: Any) -> dict[str, Any]:
        (event,) = read(*args, **fields)
        return event

    return read_one
