"""``/api/v1/sources``: every source and how it is doing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter

from identity.principal import Permission
from secops import source_health
from secops.api.access import Caller, require

Reader = Annotated[Caller, require(Permission.SOURCES_READ)]


def listing(caller: Reader) -> dict[str, Any]:
    """List sources, the one heard last first."""
    with caller.service.database.read() as tx:
        rows = source_health.find(tx, tenants=caller.visible_tenants())
    return {"sources": [source_health.summary(row, caller.now) for row in rows]}


def router() -> APIRouter:
    """The routes of this noun."""
    made = APIRouter(tags=["sources"])
    made.add_api_route("/sources", listing, methods=["GET"])
    return made
