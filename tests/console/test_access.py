"""Deny by default: every route is public by name, or refuses a stranger and somebody with the wrong role."""

from __future__ import annotations

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from identity.principal import EVERYBODY, GRANTS, Permission, Role
from secops.app import create_app, create_certificate_app, create_pki_app
from secops.console import PAGES
from secops.console.live import TOPICS
from secops.console.visit import Access
from tests.console.world import World, form_token

PUBLIC = {
    "GET /login", "POST /login", "POST /logout", "POST /login/certificate", "GET /setup", "POST /setup",
    "GET /invite/{token}", "POST /invite/{token}", "POST /lang", "GET /static/{name}", "GET /healthz", "HEAD /healthz",
    "GET /pki/root.crt", "GET /pki/root.cer", "GET /pki/issuing.crt", "GET /pki/issuing.cer", "GET /pki/crl",
    "GET /pki/issuing.crl", "GET /pki/root.crl", "POST /pki/ocsp", "POST /pki/timestamp", "GET /pki/ocsp/{encoded:path}",
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


API = {
    "/live?topic=events": Permission.EVENTS_READ,
    "/live?topic=trials": Permission.EVENTS_READ,
    "/live?topic=alerts": Permission.ALERTS_READ,
    "/live?topic=tickets": Permission.TICKETS_READ,
    "/live?topic=audit": Permission.AUDIT_READ,
    "/live?topic=sources": Permission.SOURCES_READ,
    "/live?topic=uploads": Permission.SOURCES_READ,
    "/api/v1/events": Permission.EVENTS_READ,
    "/api/v1/events/{event_id}": Permission.EVENTS_READ,
    "/api/v1/alerts": Permission.ALERTS_READ,
    "/api/v1/alerts/{alert_id}": Permission.ALERTS_READ,
    "/api/v1/silences": Permission.ALERTS_READ,
    "/api/v1/maintenance-windows": Permission.ALERTS_READ,
    "/api/v1/noise": Permission.ALERTS_READ,
    "/api/v1/sources": Permission.SOURCES_READ,
    "/api/v1/tickets": Permission.TICKETS_READ,
    "/api/v1/tickets/{ticket_id}": Permission.TICKETS_READ,
    "/api/v1/rules": Permission.RULES_READ,
    "/api/v1/rules/{rule_id}": Permission.RULES_READ,
    "/api/v1/rule-exceptions": Permission.RULES_READ,
    "/api/v1/rule-imports": Permission.RULES_READ,
}


@pytest.mark.parametrize(("path", "permission"), API.items())
def test_the_api_refuses_the_wrong_role(world: World, path: str, permission: Permission) -> None:
    for role in (one for one in Role if permission not in GRANTS[one]):
        with world.client(PERSON_OF[role]) as client:
            assert client.get(concrete(path)).status_code == 403, role


def test_every_route_of_the_api_is_in_the_table_above(world: World) -> None:
    pages = {(page.method, page.path) for page in PAGES}
    files = {("POST", "/sources/uploads")}  # a form with files; test_upload_pages
    others = {(m, p) for m, p in protected(world) if (m, p) not in pages} - files
    wanted = {("GET", path.partition("?")[0]) for path in API}
    assert others == wanted, "a route beside the pages: say in API who may use it"
    topics = {path.partition("topic=")[2] for path in API if "topic=" in path}
    assert topics == {topic for topic, permission in TOPICS.items() if permission is not Permission.OVERVIEW_READ}


def test_no_form_is_taken_without_its_token_and_none_by_another_method(world: World) -> None:
    posts = [page for page in PAGES if page.method == "POST"]
    read = {page.path for page in PAGES if page.method == "GET"}
    assert len(posts) > 30
    for page in posts:
        known = [role for role in Role if not isinstance(page.access, Permission) or page.access in GRANTS[role]]
        person = PERSON_OF[known[0]] if page.access not in EVERYBODY and known else "servant"
        with world.client(person) as client:
            answer = ask(client, "POST", page.path, "0" * 64)
            assert answer.status_code == 403, f"{page.path} -> {answer.status_code}"
            assert "页面已过期" in answer.text, page.path
            if page.path not in read:
                assert ask(client, "GET", page.path).status_code in {404, 405}, page.path
            assert ask(client, "PUT", page.path).status_code in {404, 405}, page.path


def test_every_protected_page_asks_for_a_permission_or_a_login() -> None:
    assert all(isinstance(page.access, Permission) or page.access in Access for page in PAGES)
    public = {f"{page.method} {page.path}" for page in PAGES if page.access is Access.PUBLIC}
    assert public <= PUBLIC


def test_the_other_ports_have_nothing_else(world: World) -> None:
    certificate = {f"{m} {p}" for m, p in walk(list(create_certificate_app(world.service).routes)) if m != "HEAD"}
    assert certificate == {"GET /login/certificate", "GET /static/{name}"}
    pki = {p for _m, p in walk(list(create_pki_app(world.service).routes))}
    assert all(path.startswith("/pki/") for path in pki)
