"""The applications of the web role: the console's port, the certificate login's port, and the CA's plain HTTP port.

Each is an ordinary ASGI application made by a function; nothing is built at import.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from secops.api import alerts, alerts_muted, events, health, oidc, pki, rules, sources, tickets
from secops.api.edge import BodyLimit, Edge, ErrorGuard, HostCheck, SecurityHeaders, respond
from secops.api.problems import json_response
from secops.console import PAGES
from secops.console.certificate_login import CERTIFICATE_PORT_ROUTES
from secops.console.error_page import answer
from secops.console.live import hub_of, live
from secops.console.previews import Previews
from secops.console.rendering import MEDIA_TYPES, Pages
from secops.console.texts import load_texts
from secops.console.upload_receive import OVERHEAD, receive_route
from secops.console.upload_receive import PATH as UPLOADS
from secops.console.visit import route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request

    from secops.api.problems import Problem
    from secops.console.visit import Routes
    from secops.wiring import Service


def create_app(service: Service) -> FastAPI:
    """The console's port: pages, API, single sign-on, CA files."""
    files = {UPLOADS: service.settings.uploads.max_file_bytes + OVERHEAD}
    edge, pages = Edge.of(service.settings, larger=files), Pages(load_texts(), service.settings.issuer)
    app = _application(service, edge, lambda request, problem: answer(request, problem, pages), live_pages=True)
    app.state.port = "console"
    app.router.routes.append(receive_route(pages, edge.origin))
    _add_pages(app, PAGES, pages, edge)
    app.router.routes.append(Route("/live", live, methods=["GET"], include_in_schema=False))
    for noun in (events, alerts, alerts_muted, rules, sources, tickets):
        app.include_router(noun.router(), prefix="/api/v1")
    for router in (health.router(), pki.router(), oidc.router(service)):
        app.include_router(router)
    return app


def create_certificate_app(service: Service) -> FastAPI:
    """The port that asks for a client certificate: the certificate login and nothing else."""
    edge = Edge.of(service.settings).at(service.settings.certificate_origin)
    pages = Pages(load_texts(), service.settings.issuer)
    app = _application(service, edge, lambda request, problem: answer(request, problem, pages))
    app.state.port = "certificate"
    _add_pages(app, CERTIFICATE_PORT_ROUTES, pages, edge)
    return app


def create_pki_app(service: Service) -> FastAPI:
    """The plain HTTP port: certificates, CRLs, OCSP; no cookies, no pages."""
    edge = Edge.of(service.settings)
    app = _application(service, edge, lambda _request, problem: json_response(problem), any_name=True)
    app.state.port = "pki"
    app.include_router(pki.router())
    return app


def _application(
    service: Service,
    edge: Edge,
    answer_problem: Callable[[Request, Problem], Response],
    *,
    live_pages: bool = False,
    any_name: bool = False,
) -> FastAPI:
    """An application with the edge in front and one answer to every error."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        feeding = asyncio.create_task(app.state.hub.run()) if live_pages else None
        yield
        if feeding is not None:
            feeding.cancel()
            app.state.previews.close()

    async def on_refusal(request: Request, error: Exception) -> Response:
        return respond(request, error, answer_problem)

    app = FastAPI(
        title="SecOps",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(SecurityHeaders, edge),
            *([] if any_name else [Middleware(HostCheck, edge)]),
            Middleware(ErrorGuard, answer_problem),
            Middleware(BodyLimit, edge),
        ],
        exception_handlers={HTTPException: on_refusal, RequestValidationError: on_refusal},
    )
    app.state.service = service
    if live_pages:
        app.state.hub = hub_of(service)
        app.state.previews = Previews()
    return app


def _add_pages(app: FastAPI, table: Routes, pages: Pages, edge: Edge) -> None:
    app.router.routes.append(Route("/static/{name}", _static(pages), methods=["GET"], include_in_schema=False))
    app.router.routes.extend(route(page, pages, edge.origin) for page in table)


def _static(pages: Pages) -> Callable[[Request], Response]:
    """Serves the static files from memory; their addresses carry their hash, so browsers keep them for ever."""

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        body = pages.static.get(name)
        if body is None:
            raise HTTPException(404)
        media_type = MEDIA_TYPES[name[name.rindex(".") :]]
        return Response(body, media_type=media_type, headers={"Cache-Control": "public, max-age=31536000, immutable"})

    return static
