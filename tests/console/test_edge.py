"""What stands in front of every page: names, sizes, headers, forms of other sites, ways back, errors."""

from __future__ import annotations

import socket
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from identity.provider import IdentityError
from secops.api.edge import Edge
from secops.api.problems import Forbidden, NotFound, json_response, problem_of
from secops.api.session import form_token as token_for
from secops.api.session import safe_next
from secops.errors import UserError
from tests.console.world import World, form_token


def raw_request(world: World, request: bytes, port: int = 0) -> bytes:
    """The answer to bytes of our own making over TLS, up to its end."""
    address = ("127.0.0.1", port or world.service.settings.web.port)
    with (
        socket.create_connection(address, timeout=20) as plain,
        world.tls().wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        tls.sendall(request)
        answer = b""
        while part := tls.recv(65536):
            answer += part
    return answer


def test_a_real_host_name_is_pinned_to_tls() -> None:
    edge = Edge(
        origin="https://sso.city.example", certificate_origin="https://sso.city.example:8444", hosts=frozenset()
    )
    assert edge.headers()["Strict-Transport-Security"].startswith("max-age=")


def test_security_headers_stand_on_pages_errors_and_files(world: World) -> None:
    with world.client() as client:
        for path in ("/login", "/no-such-page", "/static/console.css", "/api/v1/alerts", "/pki/root.crt", "/"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), path
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert f"form-action 'self' {world.certificate_origin}" in policy
            assert "strict-transport-security" not in headers, "localhost is everybody's"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert "server" not in headers


def test_pages_are_not_stored_and_files_are(world: World) -> None:
    with world.client("officer") as client:
        assert client.get("/").headers["cache-control"] == "no-store"
        assert "immutable" in client.get("/static/console.css").headers["cache-control"]
        assert client.get("/static/..%2frendering.py").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "local host", "[::1", "127.0.0.2"])
def test_foreign_host_names_are_refused(world: World, host: str) -> None:
    answer = raw_request(world, f"GET /login HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b"\r\n")[0].split()[1] in {b"421", b"400"}
    assert b"evil" not in answer


def test_two_host_headers_are_refused(world: World) -> None:
    answer = raw_request(
        world, b"GET /login HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )
    assert b" 421 " in answer.split(b"\r\n")[0]


def test_another_name_of_ours_leads_to_the_canonical_one(world: World) -> None:
    answer = raw_request(world, b"GET /login?next=%2Fme HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert b" 308 " in answer.split(b"\r\n")[0]
    assert f"location: {world.origin}/login?next=%2Fme".encode() in answer


def test_a_path_cannot_turn_the_redirect_to_another_host(world: World) -> None:
    answer = raw_request(world, b"GET //evil.example/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert f"location: {world.origin}/evil.example/x".encode() in answer


def test_a_header_cannot_name_the_client_certificate(world: World) -> None:
    request = (
        b"GET /login/certificate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-SSL-Client-Cert: MIIB\r\n"
        b"X-Forwarded-Client-Cert: MIIB\r\nSSL-Client-Cert: MIIB\r\n\r\n"
    )
    answer = raw_request(world, request, world.service.settings.web.certificate_port)
    assert b" 403 " in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("version", "accepted"), [("-tls1_3", True), ("-tls1_2", True), ("-tls1_1", False), ("-tls1", False)]
)
def test_old_tls_is_refused(world: World, version: str, *, accepted: bool) -> None:
    address = f"127.0.0.1:{world.service.settings.web.port}"
    command = ["openssl", "s_client", "-connect", address, version, "-cipher", "ALL:@SECLEVEL=0", "-brief"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    assert (done.returncode == 0) is accepted, done.stderr.decode()


@pytest.mark.parametrize("declared", [True, False])
def test_bodies_over_the_limit_are_refused(world: World, *, declared: bool) -> None:
    body = b"x=" + b"a" * 300_000
    chunks = [body[i : i + 10_000] for i in range(0, len(body), 10_000)]
    content = body if declared else iter(chunks)
    with world.client() as client:
        form = {"content-type": "application/x-www-form-urlencoded", "origin": world.origin}
        answer = client.post("/login", content=content, headers=form)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"a=%ff%fe", "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a=1" for _ in range(500)), "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415),
    ],
)
def test_broken_forms_get_an_answer(world: World, content: bytes, kind: str, status: int) -> None:
    with world.client() as client:
        assert client.post("/login", content=content, headers={"content-type": kind}).status_code == status


@pytest.mark.parametrize(
    ("origin", "site"),
    [("https://evil.example", ""), ("null", ""), ("http://localhost", ""), ("", "cross-site"), ("", "same-site")],
)
def test_forms_of_other_sites_are_refused(world: World, origin: str, site: str) -> None:
    with world.client("officer") as client:
        token = form_token(client.get("/me"))
        headers = {name: value for name, value in (("origin", origin), ("sec-fetch-site", site)) if value}
        answer = client.post("/me/sessions/end", data={"form_token": token}, headers=headers)
        assert answer.status_code == 403
        assert client.get("/me").status_code == 200


@pytest.mark.parametrize("token", ["", "0" * 64, "é" * 64])
def test_a_form_without_its_token_is_refused(world: World, token: str) -> None:
    with world.client("officer") as client:
        answer = client.post("/logout", data={"form_token": token}, headers={"origin": world.origin})
        assert answer.status_code == 403
        assert client.get("/me").status_code == 200


def test_the_token_of_another_session_is_refused(world: World) -> None:
    with world.client("inspector") as client:
        token = token_for(world.session("officer"))
        answer = client.post("/logout", data={"form_token": token}, headers={"origin": world.origin})
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "good", ["/", "/alerts/3", "/events?q=a%20b&range=1h", "/oidc/authorize?x=https://rp.example/"]
)
def test_ways_back_on_this_origin_are_kept(good: str) -> None:
    assert safe_next(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        "", "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil", "/a\nb", "/\t/evil.example", "javascript:1",
        "evil", "/\u2028", "/ //evil", "/" + "a" * 3000,
    ],
)  # fmt: skip
def test_ways_back_elsewhere_lead_home(bad: str) -> None:
    assert safe_next(bad) == "/"


@given(st.text())
def test_a_way_back_never_leaves_the_origin(text: str) -> None:
    kept = safe_next(text)
    assert kept.startswith("/")
    assert not kept.startswith(("//", "/\\"))
    assert kept.isprintable()


def test_errors_tell_people_in_both_languages(world: World) -> None:
    with world.client("officer") as client:
        page = client.get("/alerts/999999")
        assert page.status_code == 404
        assert "没有编号为 999999 的告警" in page.text
        assert "there is no alert 999999" in page.text
    with world.client("officer", lang="en") as client:
        assert "<h1>Not found</h1>" in client.get("/alerts/999999").text


def test_errors_tell_programs_by_problem_documents(world: World) -> None:
    with world.client("officer") as client:
        answer = client.get("/api/v1/alerts/999999")
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert (body["status"], body["code"]) == (404, "alert.unknown")
        assert "999999" in body["detail"]
        assert "999999" in body["detail_zh"]
        assert client.get("/api/v1/events?limit=0").status_code == 400
        assert client.get("/api/v1/events?q=%22unclosed").json()["code"] == "search.syntax"


def test_unknown_errors_tell_nothing_but_a_reference() -> None:
    problem = problem_of(RuntimeError("secret detail"), "abc123")
    assert problem.status == 500
    assert b"secret" not in json_response(problem).body
    assert "abc123" in problem.zh
    assert problem.en


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UserError("ticket.state", "不行", "no"), 409),
        (UserError("alert.unknown", "没有", "none"), 404),
        (IdentityError("permission.denied", "不可", "no"), 403),
        (IdentityError("password.weak", "弱", "weak"), 400),
        (Forbidden(), 403),
        (NotFound(), 404),
        (HTTPException(404), 404),
        (HTTPException(405), 405),
    ],
)
def test_error_codes_have_a_status(error: Exception, status: int) -> None:
    assert problem_of(error, "").status == status


def test_open_api_is_not_public(world: World) -> None:
    with world.client() as client:
        assert {client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")} == {404}
