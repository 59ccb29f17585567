"""``/api/v1/silences``, ``/api/v1/maintenance-windows`` and ``/api/v1/noise``: what is muted, and how noisy rules are."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from identity.principal import Permission
from secops.alert import maintenance as windows
from secops.alert import noise as reports
from secops.alert import silences as quiet
from secops.api.access import Caller, require

if TYPE_CHECKING:
    from secops.alert.noise import NoiseRow

Reader = Annotated[Caller, require(Permission.ALERTS_READ)]


def silences(caller: Reader) -> dict[str, Any]:
    """List silences, the newest first, expired ones too."""
    with caller.service.database.read() as tx:
        return {"silences": [one.columns() for one in quiet.all(tx, tenants=caller.visible_tenants())]}


def maintenance(caller: Reader) -> dict[str, Any]:
    """List maintenance windows, the newest first, those that are over too."""
    with caller.service.database.read() as tx:
        return {"windows": [one.columns() for one in windows.all(tx, tenants=caller.visible_tenants())]}


def noise(caller: Reader, days: Annotated[int, Query(ge=1, le=366)] = 30) -> dict[str, Any]:
    """Report noise per rule over the last days, the noisiest rule first; times in seconds."""
    start = caller.now - timedelta(days=days)
    with caller.service.database.read() as tx:
        found = reports.report(tx, tenants=caller.visible_tenants(), start=start, end=caller.now)
    return {"from": start, "to": caller.now, "rules": [_noise(row) for row in found]}


def _noise(row: NoiseRow) -> dict[str, Any]:
    seconds = row.time_to_close.total_seconds() if row.time_to_close is not None else None
    return {**asdict(row), "time_to_close": seconds, "wrong": row.wrong}


def router() -> APIRouter:
    """The routes of these nouns."""
    made = APIRouter(tags=["alerts"])
    made.add_api_route("/silences", silences, methods=["GET"])
    made.add_api_route("/maintenance-windows", maintenance, methods=["GET"])
    made.add_api_route("/noise", noise, methods=["GET"])
    return made
