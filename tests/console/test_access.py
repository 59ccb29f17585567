"""Deny by default: every route is public by name, or refuses a stranger and somebody with the wrong role."""

from __future__ import annotations

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from identity.principal import GRANTS, Permission, Role
from secops.app import create_app, create_certificate_app, create_pki_app
from secops.console import PAGES
from secops.console.visit import Access
from tests.console.world import World, form_token

PUBLIC = {
    "GET /login", "POST /login", "POST /logout", "POST /login/certificate", "GET /setup", "POST /setup",
    "GET /invite/{token}", "POST /invite/{token}", "POST /lang", "GET /static/{name}", "GET /healthz", "HEAD /healthz",
    "GET /pki/root.crt", "GET /pki/root.cer", "GET /pki/issuing.crt", "GET /pki/issuing.cer", "GET /pki/crl",
    "GET /pki/issuing.crl", "GET /pki/root.crl", "POST /pki/ocsp", "GET /pki/ocsp/{encoded:path}",
}  # fmt: skip
PROTOCOL = ("/oidc/", "/.well-known/")  # the OpenID Provider's endpoints authenticate by the protocol; tests/oidc
PERSON_OF = {
    Role.SYSTEM_ADMIN: "admin",
    Role.SECURITY_ADMIN: "keeper",
    Role.AUDIT_ADMIN: "auditor",
    Role.SECURITY_OFFICER: "officer",
    Role.CONTRACTOR: "fixer",
    Role.INSPECTOR: "inspector",
    Role.CIVIL_SERVANT: "servant",
}


def walk(routes: list[object], prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for route in routes:
        if isinstance(route, (Route, APIRoute)):
            found += [(method, prefix + route.path) for method in sorted(route.methods or ())]
            continue
        inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
        assert inner is not None, f"a route of a kind that this test does not know: {route!r}"
        context = getattr(route, "include_context", None)
        found += walk(list(inner), prefix + (getattr(context, "prefix", "") or getattr(route, "path", "")))
    return found


def all_routes(world: World) -> list[tuple[str, str]]:
    """Every method and path of the console's port, HEAD where only GET was asked for left out."""
    found = walk(list(create_app(world.service).routes))
    return [(m, p) for m, p in found if not (m == "HEAD" and ("GET", p) in found and p != "/healthz")]


def concrete(path: str) -> str:
    parts = [
        "1" if "id" in part and part.startswith("{") else "x" if part.startswith("{") else part
        for part in path.split("/")
    ]
    return "/".join(parts)


def protected(world: World) -> list[tuple[str, str]]:
    return [(m, p) for m, p in all_routes(world) if f"{m} {p}" not in PUBLIC and not p.startswith(PROTOCOL)]


def ask(client: httpx.Client, method: str, path: str, token: str = "") -> httpx.Response:
    if method == "POST":
        origin = str(client.base_url).rstrip("/")
        return client.post(concrete(path), data={"form_token": token}, headers={"origin": origin})
    return client.request(method, concrete(path))


def test_the_walk_sees_the_whole_application(world: World) -> None:
    found = {f"{m} {p}" for m, p in all_routes(world)}
    assert {f"{page.method} {page.path}" for page in PAGES} <= found
    assert {"GET /live", "GET /api/v1/events", "GET /api/v1/alerts", "GET /api/v1/tickets"} <= found
    assert found >= PUBLIC


def test_a_stranger_is_sent_to_the_login_everywhere(world: World) -> None:
    with world.client() as client:
        token = form_token(client.get("/login"))
        for method, path in protected(world):
            answer = ask(client, method, path, token)
            if path.startswith("/api/"):
                assert answer.status_code == 401, path
                assert answer.json()["code"] == "login.needed"
            else:
                assert answer.status_code == 303, f"{method} {path} -> {answer.status_code}"
                assert answer.headers["location"].startswith("/login?next="), path


@pytest.mark.parametrize("role", list(Role))
def test_a_role_gets_no_further_than_its_permissions(world: World, role: Role) -> None:
    with world.client(PERSON_OF[role]) as client:
        token = form_token(client.get("/me"))
        for page in PAGES:
            if not isinstance(page.access, Permission) or page.access is Permission.OVERVIEW_READ:
                continue
            if page.access in GRANTS[role]:
                continue
            answer = ask(client, page.method, page.path, token)
            assert answer.status_code == 403, f"{role}: {page.method} {page.path} -> {answer.status_code}"


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("/api/v1/events", Permission.EVENTS_READ),
        ("/api/v1/events/0-0", Permission.EVENTS_READ),
        ("/api/v1/alerts", Permission.ALERTS_READ),
        ("/api/v1/alerts/1", Permission.ALERTS_READ),
        ("/api/v1/tickets", Permission.TICKETS_READ),
        ("/api/v1/tickets/1", Permission.TICKETS_READ),
        ("/live?topic=audit", Permission.AUDIT_READ),
        ("/live?topic=events", Permission.EVENTS_READ),
    ],
)
def test_the_api_refuses_the_wrong_role(world: World, path: str, permission: Permission) -> None:
    for role in (one for one in Role if permission not in GRANTS[one]):
        with world.client(PERSON_OF[role]) as client:
            assert client.get(path).status_code == 403, role


def test_every_protected_page_asks_for_a_permission_or_a_login() -> None:
    assert all(isinstance(page.access, Permission) or page.access in Access for page in PAGES)
    public = {f"{page.method} {page.path}" for page in PAGES if page.access is Access.PUBLIC}
    assert public <= PUBLIC


def test_the_other_ports_have_nothing_else(world: World) -> None:
    certificate = {f"{m} {p}" for m, p in walk(list(create_certificate_app(world.service).routes)) if m != "HEAD"}
    assert certificate == {"GET /login/certificate", "GET /static/{name}"}
    pki = {p for _m, p in walk(list(create_pki_app(world.service).routes))}
    assert all(path.startswith("/pki/") for path in pki)
