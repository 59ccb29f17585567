from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from identity.principal import Role
from secops.api.session import COOKIE
from secops.console.certificate_login import make_state, state_holds
from tests.console.world import PASSWORD, World, form_token, send
from tests.oidc import throwaway_ca


def cookie(client: httpx.Client) -> str:
    return client.cookies.get(COOKIE) or ""


def test_password_and_code_log_in_and_lead_on(world: World) -> None:
    with world.client() as client:
        answer = send(
            client,
            "/login?next=/alerts",
            "/login",
            username="officer",
            password=PASSWORD,
            code=world.code("officer"),
            next="/alerts",
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
        raw = next(value for value in answer.headers.get_list("set-cookie") if value.startswith(COOKIE + "="))
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(raw.split("; "))
        assert "Domain" not in raw
        assert client.get("/alerts").status_code == 200


@pytest.mark.parametrize("field", ["password", "code", "username"])
def test_a_wrong_value_is_refused_without_saying_which(world: World, field: str) -> None:
    values = {"username": "inspector", "password": PASSWORD, "code": world.code("inspector")} | {field: "000000"}
    with world.client() as client:
        answer = send(client, "/login", "/login", **values)
        assert answer.status_code in {401, 429}
        assert not cookie(client)
        assert 'role="alert"' in answer.text
        assert PASSWORD not in answer.text


def test_a_stale_cookie_does_not_stop_a_login(world: World) -> None:
    with world.client() as client:
        client.cookies.set(COOKIE, "gone", domain="localhost.local")
        answer = send(client, "/login", "/login", username="servant", password=PASSWORD, code=world.code("servant"))
        assert answer.status_code == 303


def test_logging_out_ends_the_session_on_the_server(world: World) -> None:
    token = world.log_in("servant")
    with world.client() as client:
        client.cookies.set(COOKIE, token, domain="localhost.local")
        answer = send(client, "/me", "/logout")
        assert answer.headers["location"] == "/login?done=out"
    assert world.service.identity.session(token, world.clock()) is None


def test_the_language_is_kept_and_the_way_back_is_ours(world: World) -> None:
    with world.client() as client:
        assert 'lang="zh-CN"' in client.get("/login").text
        answer = send(client, "/login", "/lang", language="en", next="//evil.example")
        assert answer.headers["location"] == "/"
        client.cookies.set("__Host-secops-lang", "en", domain="localhost.local")
        assert "Log in with certificate" in client.get("/login").text
        assert send(client, "/login", "/lang", language="fr").status_code == 400


def test_whoever_is_logged_in_skips_the_login_page(world: World) -> None:
    with world.client("officer") as client:
        assert client.get("/login?next=/tickets").headers["location"] == "/tickets"
        assert client.get("/login?next=/oidc/authorize?x").status_code == 200  # the issuer asks for a fresh login


def test_the_set_up_link_is_dead_after_use(world: World) -> None:
    with world.client() as client:
        page = client.get("/setup?token=guess")
        assert page.status_code == 403
        assert "secops serve" in page.text


def test_an_invitation_is_completed_once(world: World) -> None:
    identity, admin = world.service.identity, world.principal("admin")
    account = identity.add_person(
        username="newcomer",
        display_name="<b>新人</b>",
        organization_id="city",
        roles=[Role.CIVIL_SERVANT],
        actor=admin,
        now=world.clock(),
    )
    link = f"/invite/{identity.invitation(account.id, actor=admin, now=world.clock())}"
    with world.client() as client:
        page = client.get(link)
        assert "&lt;b&gt;新人" in page.text
        assert 'src="data:image/svg+xml' in page.text
        secret = page.text.split('name="secret" value="')[1].split('"')[0]
        weak = send(client, link, link, password="short", again="short", secret=secret, code="000000")
        assert weak.status_code == 400
        assert secret in weak.text, "a typing error must not make somebody scan again"
        differ = send(client, link, link, password=PASSWORD, again=PASSWORD + "x", secret=secret, code="000000")
        assert "两次输入的密码不一致" in differ.text
        code = pyotp.TOTP(secret).at(world.clock())
        done = send(client, link, link, password=PASSWORD, again=PASSWORD, secret=secret, code=code)
        assert done.headers["location"] == "/login?done=ready"
        assert client.get(link).status_code == 403


# --- with a certificate ----------------------------------------------------------------------------------------------


def tls_with(world: World, file: bytes, password: str, folder: Path) -> ssl.SSLContext:
    """A client's TLS that shows the certificate of a PKCS #12 file."""
    content = load_pkcs12(file, password.encode())
    assert content.key is not None
    assert content.cert is not None
    path = folder / "client.pem"
    path.write_bytes(
        content.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + content.cert.certificate.public_bytes(Encoding.PEM)
    )
    context = world.tls()
    context.load_cert_chain(path)
    return context


def start(client: httpx.Client, following: str = "/me") -> str:
    answer = send(client, "/login", "/login/certificate", next=following)
    assert answer.status_code == 303
    return answer.headers["location"]


def test_a_certificate_logs_in_and_its_revocation_ends_the_login(world: World, tmp_path: Path) -> None:
    issued, file, password = world.pkcs12("inspector")
    with world.client(tls=tls_with(world, file, password, tmp_path)) as client:
        target = start(client)
        assert target.startswith(world.certificate_origin + "/login/certificate?")
        answer = client.get(target)
        assert answer.headers["location"] == f"{world.origin}/me", answer.text
        page = client.get("/me")
        assert "inspector 同志" in page.text
        world.service.authority.revoke(issued.serial, reason="keyCompromise", actor="admin", now=world.clock())
        assert client.get("/me").status_code == 303, "the next request is refused"
        again = client.get(start(client))
        assert again.status_code == 403
        assert not again.headers.get("location")


def test_the_state_works_for_this_browser_and_this_target_only(world: World, tmp_path: Path) -> None:
    _issued, file, password = world.pkcs12("servant")
    tls = tls_with(world, file, password, tmp_path)
    with world.client(tls=tls) as attacker, world.client(tls=tls) as victim:
        link = start(attacker)
        assert victim.get(link).status_code == 403, "no cookie of the form: somebody else's link"
        query = parse_qs(urlsplit(link).query)
        other = f"{world.certificate_origin}/login/certificate?state={query['state'][0]}&next=/people"
        assert attacker.get(other).status_code == 403
        assert attacker.get(link).status_code == 403, "a refused attempt takes the cookie away"


def test_the_state_ends_after_five_minutes() -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    state = make_state("secret", "/me", begun)
    assert state_holds(state, "secret", "/me", begun + timedelta(minutes=5))
    assert not state_holds(state, "secret", "/me", begun + timedelta(minutes=5, seconds=1))
    assert not state_holds(state, "", "/me", begun)
    assert not state_holds(state.replace(state.split(".")[0], "9999999999"), "secret", "/me", begun)
    assert not state_holds("٣.x", "secret", "/me", begun)


def test_without_a_certificate_there_is_an_explanation(world: World) -> None:
    with world.client() as client:
        answer = client.get(start(client))
        assert answer.status_code == 403
        assert "浏览器没有出示证书" in answer.text
        assert f"{world.origin}/login?next=%2Fme" in answer.text


def test_a_certificate_of_another_authority_ends_the_handshake(world: World, tmp_path: Path) -> None:
    _root, certificate, key = throwaway_ca.make(tmp_path)
    context = world.tls()
    context.load_cert_chain(certificate, key)
    with world.client(tls=context) as client, pytest.raises(httpx.TransportError):
        client.get(start(client))


def test_the_console_port_asks_for_no_certificate(world: World) -> None:
    with world.client() as client:
        assert client.get("/login/certificate").status_code == 405


def test_the_form_token_differs_between_visitors(world: World) -> None:
    with world.client() as one, world.client() as other:
        assert form_token(one.get("/login")) != form_token(other.get("/login"))
