"""``/api/v1/alerts``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from identity.principal import Permission
from secops.alert import queries
from secops.alert.find import Filter, search
from secops.api.access import Caller, require
from secops.records import AlertStatus, Level

_MOST_ID = 2**62


def alerts(
    caller: Annotated[Caller, require(Permission.ALERTS_READ)],
    status: AlertStatus | None = None,
    level: Level | None = None,
    severity: Level | None = None,
    muted: Annotated[bool | None, Query()] = None,
    tenant: Annotated[str, Query(max_length=100)] = "",
    text: Annotated[str, Query(max_length=200, description="words in title, rule, hosts or group values")] = "",
    rule_id: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[
        int | None, Query(ge=1, le=_MOST_ID, description="id of the last alert of the page before")
    ] = None,
) -> dict[str, Any]:
    """List alerts, newest first."""
    asked = Filter(
        tenants=caller.visible_tenants(),
        tenant=tenant,
        status=status,
        level=level,
        severity=severity,
        muted=muted,
        rule_id=rule_id,
        text=text,
    )
    with caller.service.database.read() as tx:
        found = search(tx, asked, limit=limit, before=before)
    return {"alerts": [asdict(one) for one in found], "next": found[-1].id if len(found) == limit else None}


def alert(alert_id: int, caller: Annotated[Caller, require(Permission.ALERTS_READ)]) -> dict[str, Any]:
    """Give one alert with its history."""
    with caller.service.database.read() as tx:
        found = queries.get(tx, min(max(alert_id, 0), _MOST_ID), tenants=caller.visible_tenants())
        history = queries.history(tx, found.id)
    return asdict(found) | {"history": [asdict(line) for line in history]}


def router() -> APIRouter:
    """The routes of this noun."""
    made = APIRouter(tags=["alerts"])
    made.add_api_route("/alerts", alerts, methods=["GET"])
    made.add_api_route("/alerts/{alert_id}", alert, methods=["GET"])
    return made
