"""``/healthz``: whether this process answers and reaches its database; for load balancers, so without details."""

from __future__ import annotations

import sqlalchemy as sa
from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse


def healthz(request: Request) -> PlainTextResponse:
    """Answer 200 ``ok`` or 503."""
    try:
        with request.app.state.service.database.read() as tx:
            tx.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError:
        return PlainTextResponse("unavailable\n", 503)
    return PlainTextResponse("ok\n")


def router() -> APIRouter:
    """The routes of this noun."""
    made = APIRouter(tags=["health"])
    made.add_api_route("/healthz", healthz, methods=["GET", "HEAD"], response_class=PlainTextResponse)
    return made
