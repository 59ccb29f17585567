from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from identity.oidc import clients
from identity.oidc.messages import AskLogout, ErrorPage, HttpRequest, LogoutNow, NeedLogin, OidcError, Redirect, Reply
from identity.oidc.tables import ClientRow, CodeRow, KeyRow, TokenRow
from secops.audit import AuditRow
from tests.oidc.world import CHALLENGE, DEMO, ISSUER, SECRET, VERIFIER, World, answer, basic, post

FORM = "application/x-www-form-urlencoded"


# --- the authorization endpoint ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "uri",
    [
        None,
        "",
        f"{DEMO}/callback/",
        f"{DEMO}/callback?x=1",
        f"{DEMO}/callback#",
        f"{DEMO}/callback/../callback",
        f"{DEMO}/Callback",
        "https://demo.test:8445@evil.test/callback",
        "https://demo.test:8445.evil.test/callback",
        "http://demo.test:8445/callback",
        "https://demo.test/callback",
        "//demo.test:8445/callback",
        "javascript:alert(1)",
        f"{DEMO}\\callback",
        "https://vault.test/cb",
        f"{DEMO}/callback\r\nLocation: https://evil.test",
    ],
)
def test_never_redirects_to_an_unregistered_address(world: World, uri: str | None) -> None:
    session = world.identity.login("zhang")
    for who in (session, None):
        assert isinstance(world.authorize(who, redirect_uri=uri), ErrorPage)
        assert isinstance(world.authorize(who, redirect_uri=uri, response_type="nonsense"), ErrorPage)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),  # absent means plain: a downgrade
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_type": 'co"de\\'}, "unsupported_response_type"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "http://169.254.169.254/latest/meta-data"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "nonsense"}, "invalid_request"),
        ({"prompt": "consent"}, "consent_required"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "١"}, None),  # not ASCII: refused before anything else
        ({"max_age": "1" * 4000}, "invalid_request"),
        ({"id_token_hint": "a.b.c"}, "invalid_request"),
    ],
)
def test_bad_requests_go_back_with_an_error_and_no_code(
    world: World, changes: dict[str, str | None], error: str | None
) -> None:
    for session in (world.identity.login("zhang"), None):
        result = world.authorize(session, **changes)
        if error is None:
            assert isinstance(result, ErrorPage)
            continue
        assert isinstance(result, Redirect), result
        assert result.url.startswith(f"{DEMO}/callback?error=")
        said = answer(result)
        assert said["error"] == error
        assert said["state"] == "s-1"
        assert said["iss"] == ISSUER
        assert "code" not in said
    assert count(world, CodeRow) == 0


def test_a_parameter_twice_is_refused_whichever_it_is(world: World) -> None:
    session = world.identity.login("zhang")
    query = world.ask().query
    for twice in ("redirect_uri=https%3A%2F%2Fevil.test", "client_id=spa", "state=other", "code_challenge=" + "x" * 43):
        result = world.issuer.authorize(HttpRequest(method="GET", query=f"{query}&{twice}"), session, world.now)
        assert isinstance(result, ErrorPage)


def test_state_is_given_back_exactly_or_not_at_all(world: World) -> None:
    session = world.identity.login("zhang")
    strange = "a&b=c#d/?%0d%0aLocation:x'\"<>"
    assert answer(world.authorize(session, state=strange))["state"] == strange
    assert "state" not in answer(world.authorize(session, state=None))
    assert isinstance(world.authorize(session, state="a\r\nSet-Cookie: x=y"), ErrorPage)


def test_a_forged_ticket_does_not_pass_for_a_new_login(world: World) -> None:
    session = world.identity.login("zhang")
    hint = world.tokens(session)["id_token"]  # signed by us, but not a ticket
    for forged in ("x", hint, unsigned({"iss": ISSUER, "use": "login", "iat": 0, "exp": 9e9})):
        assert isinstance(world.authorize(session, prompt="login", ticket=forged), NeedLogin)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.text(max_size=300) | st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=8).map(urlencode)
)
def test_no_query_breaks_the_authorization_endpoint(world: World, query: str) -> None:
    for text in (query, f"client_id=demo&redirect_uri={DEMO}%2Fcallback&{query}"):
        result = world.issuer.authorize(HttpRequest(method="GET", query=text), None, world.now)
        assert isinstance(result, (ErrorPage, NeedLogin)) or result.url.startswith(f"{DEMO}/callback?")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300), authorization=st.text(max_size=80))
def test_no_body_breaks_the_back_channel(world: World, body: bytes, authorization: str) -> None:
    for raw in (body, b"grant_type=authorization_code&client_id=demo&code=" + body):
        request = HttpRequest(method="POST", body=raw, content_type=FORM, authorization=authorization)
        for endpoint in (world.issuer.token, world.issuer.introspect, world.issuer.revoke):
            assert endpoint(request, world.now).status in {400, 401}
        assert world.issuer.userinfo(request, world.now).status == 401


# --- codes ---------------------------------------------------------------------------------------------------------
def test_a_replayed_code_revokes_what_it_gave_and_is_audited(world: World) -> None:
    session = world.identity.login("zhang")
    code = world.code(session)
    tokens = world.exchange(code).body
    assert world.userinfo(tokens["access_token"]).status == 200
    assert world.exchange(code).body["error"] == "invalid_grant"
    assert world.userinfo(tokens["access_token"]).status == 401
    refresh = post({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}, basic("demo", SECRET))
    assert world.issuer.token(refresh, world.now).body["error"] == "invalid_grant"
    assert "oidc.replay" in audited(world)


def test_a_stolen_code_is_worth_nothing_to_another_client(world: World) -> None:
    code = world.code(world.identity.login("zhang"))
    assert world.exchange(code, client="vault", secret=SECRET[::-1]).body["error"] == "invalid_grant"
    assert world.exchange(code, client="spa", secret="", client_id="spa").body["error"] == "invalid_grant"
    assert world.exchange(code).status == 200, "a stranger's attempt must not spend the code"


def test_a_code_injected_into_another_login_fails_and_is_spent(world: World) -> None:
    code = world.code(world.identity.login("victim"))
    assert world.exchange(code, code_verifier="a" * 43).body["error"] == "invalid_grant"
    assert world.exchange(code).body["error"] == "invalid_grant"


@pytest.mark.parametrize("verifier", [None, "short", "é" * 43, CHALLENGE, "v" * 42 + "\n"])
def test_the_verifier_is_required_and_exact(world: World, verifier: str | None) -> None:
    reply = world.exchange(world.code(world.identity.login("zhang")), code_verifier=verifier)
    assert reply.status == 400
    assert reply.body["error"] in {"invalid_request", "invalid_grant"}


def test_the_redirect_uri_must_be_the_same_at_the_exchange(world: World) -> None:
    session = world.identity.login("zhang")
    for uri in (None, "https://evil.test/callback", f"{DEMO}/logged-out"):
        assert world.exchange(world.code(session), redirect_uri=uri).body["error"] == "invalid_grant"


def test_a_reused_refresh_token_ends_the_family(world: World) -> None:
    first = world.tokens(world.identity.login("zhang"))
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = world.issuer.token(post(form, basic("demo", SECRET)), world.now).body
    assert world.issuer.token(post(form, basic("demo", SECRET)), world.now).body["error"] == "invalid_grant"
    assert world.userinfo(second["access_token"]).status == 401
    again = form | {"refresh_token": second["refresh_token"]}
    assert world.issuer.token(post(again, basic("demo", SECRET)), world.now).body["error"] == "invalid_grant"
    assert "oidc.replay" in audited(world)


def test_tokens_are_not_taken_for_one_another(world: World) -> None:
    tokens = world.tokens(world.identity.login("zhang"))
    assert world.userinfo(tokens["refresh_token"]).status == 401
    assert world.userinfo(tokens["id_token"]).status == 401
    form = {"grant_type": "refresh_token", "refresh_token": tokens["access_token"]}
    assert world.issuer.token(post(form, basic("demo", SECRET)), world.now).body["error"] == "invalid_grant"
    widened = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "scope": "openid admin"}
    assert world.issuer.token(post(widened, basic("demo", SECRET)), world.now).body["error"] == "invalid_scope"


# --- clients -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "authorization",
    [
        basic("demo", "wrong"),
        basic("demo", ""),
        basic("nobody", SECRET),
        basic("spa", ""),
        basic("spa", SECRET),
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Bearer x",
    ],
)
def test_a_wrong_secret_is_refused_and_spends_nothing(world: World, authorization: str) -> None:
    code = world.code(world.identity.login("zhang"))
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": f"{DEMO}/callback",
        "code_verifier": VERIFIER,
    }
    reply = world.issuer.token(post(form, authorization), world.now)
    assert reply.status == 401
    assert reply.body["error"] == "invalid_client"
    assert ("WWW-Authenticate", 'Basic realm="oidc"') in reply.headers
    assert world.exchange(code).status == 200


def test_two_ways_of_authentication_at_once_are_refused(world: World) -> None:
    code = world.code(world.identity.login("zhang"))
    assert world.exchange(code, client_secret=SECRET).body["error"] == "invalid_request"
    assert world.exchange(code, client_id="vault").body["error"] == "invalid_request"


def test_secret_by_post_works_and_a_confidential_client_cannot_go_without(world: World) -> None:
    code = world.code(world.identity.login("zhang"))
    assert world.exchange(code, secret="", client_id="demo").body["error"] == "invalid_client"
    assert world.exchange(code, secret="", client_id="demo", client_secret=SECRET).status == 200


def test_parameters_in_the_address_do_not_count_at_the_token_endpoint(world: World) -> None:
    code = world.code(world.identity.login("zhang"))
    query = urlencode({"grant_type": "authorization_code", "code": code, "client_id": "demo", "client_secret": SECRET})
    assert world.issuer.token(HttpRequest(method="POST", query=query, content_type=FORM), world.now).status == 400
    assert (
        world.issuer.token(
            HttpRequest(method="POST", query=query, body=b"{}", content_type="application/json"), world.now
        ).status
        == 400
    )


def test_a_disabled_client_is_out_at_once(world: World) -> None:
    session = world.identity.login("zhang")
    code, tokens = world.code(session), world.tokens(session)
    with world.database.begin() as tx:
        clients.disable(tx, "demo", world.now)
    assert world.exchange(code).body["error"] == "invalid_client"
    assert world.userinfo(tokens["access_token"]).status == 401
    assert isinstance(world.authorize(session), ErrorPage)


@pytest.mark.parametrize(
    "uri",
    [
        "http://rp.test/cb",
        "https://",
        "https://rp.test/cb#here",
        "https://*.rp.test/cb",
        "https://user@rp.test/cb",
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/cb",
        "https://[::ffff:169.254.169.254]/cb",
        "https://0.0.0.0/cb",
        "https://224.0.0.1/cb",
        "https://rp.test:99999/cb",
        "https://rp.test/\u202ecb",
        "https://rp.test/cb\n",
        "https://rp.test\\@evil.test/cb",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://rp.test/" + "a" * 2000,
    ],
)
def test_addresses_that_must_not_be_called_cannot_be_registered(world: World, uri: str) -> None:
    common = {"client_id": "rp", "name_zh": "系统", "name_en": "system", "now": world.now}
    for given_uris in (
        {"redirect_uris": [uri]},
        {"redirect_uris": ["https://rp.test/cb"], "backchannel_logout_uri": uri},
    ):
        with world.database.begin() as tx, pytest.raises(OidcError, match="URI"):
            clients.register(tx, **common, **given_uris)
    assert count(world, ClientRow) == 3


def test_secrets_codes_and_keys_are_not_in_the_database(world: World) -> None:
    session = world.identity.login("zhang")
    code = world.code(session)
    tokens = world.exchange(code).body
    with world.database.read() as tx:
        rows = [
            row for table in (ClientRow, CodeRow, TokenRow, KeyRow, AuditRow) for row in tx.scalars(sa.select(table))
        ]
        kept = repr([{c.key: getattr(row, c.key) for c in sa.inspect(row).mapper.column_attrs} for row in rows])
    for secret in (
        SECRET,
        code,
        tokens["access_token"],
        tokens["refresh_token"],
        tokens["id_token"],
        "PRIVATE KEY",
        "'d'",
    ):
        assert secret not in kept


# --- logout --------------------------------------------------------------------------------------------------------
def end(world: World, session: Any, **parameters: str) -> Any:
    return world.issuer.end_session(HttpRequest(method="GET", query=urlencode(parameters)), session, world.now)


def test_logout_with_a_good_hint_needs_no_question(world: World) -> None:
    session = world.identity.login("zhang")
    hint = world.tokens(session)["id_token"]
    result = end(world, session, id_token_hint=hint, post_logout_redirect_uri=f"{DEMO}/logged-out", state="a&b")
    assert result == LogoutNow(f"{DEMO}/logged-out?state=a%26b")
    world.later(days=2)
    assert end(world, None, id_token_hint=hint, post_logout_redirect_uri=f"{DEMO}/logged-out") == LogoutNow(
        f"{DEMO}/logged-out"
    )


def test_logout_without_a_hint_or_for_another_login_asks_first(world: World) -> None:
    session = world.identity.login("zhang")
    old_hint = world.tokens(world.identity.login("zhang"))["id_token"]
    for parameters in ({}, {"id_token_hint": old_hint}, {"client_id": "demo"}):
        asked = end(world, session, **parameters)
        assert isinstance(asked, AskLogout)
    assert end(world, session, ticket=asked.ticket) == LogoutNow("")
    other = world.identity.login("wang")
    assert isinstance(end(world, other, ticket=asked.ticket), ErrorPage), "a question answered by somebody else"
    world.later(minutes=31)
    assert isinstance(end(world, session, ticket=asked.ticket), ErrorPage)


def test_nobody_logged_in_and_no_hint_means_no_redirect(world: World) -> None:
    assert end(world, None, client_id="demo", post_logout_redirect_uri=f"{DEMO}/logged-out") == LogoutNow("")


@pytest.mark.parametrize(
    "uri", ["https://evil.test/", f"{DEMO}/callback", f"{DEMO}/logged-out/", "https://vault.test/cb"]
)
def test_logout_never_redirects_to_an_unregistered_address(world: World, uri: str) -> None:
    session = world.identity.login("zhang")
    hint = world.tokens(session)["id_token"]
    assert isinstance(end(world, session, id_token_hint=hint, post_logout_redirect_uri=uri), ErrorPage)
    assert isinstance(end(world, session, client_id="vault", id_token_hint=hint), ErrorPage)


def test_forged_hints_are_refused_whatever_their_algorithm(world: World) -> None:
    session = world.identity.login("zhang")
    claims = {"iss": ISSUER, "aud": "demo", "sub": "id-zhang", "sid": session.id, "exp": 9_999_999_999}
    public = next(key for key in world.issuer.jwks(world.now).body["keys"] if key["alg"] == "ES256")
    other = ECKey.generate_key("P-256")
    pem = ECKey.import_key(public).as_pem(private=False)
    header = {"kid": public["kid"], "typ": "JWT"}
    forged = [
        unsigned(claims),
        unsigned(claims, kid=public["kid"]),
        jwt.encode({"alg": "ES256", **header}, claims, other),
        jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, other),
        hmac_signed(pem, header, claims),
        jwt.encode({"alg": "ES256", "typ": "JWT", "jwk": other.as_dict(private=False), "kid": "x"}, claims, other),
        "[" * 5000,
        base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.AA",
        "\u00e9.e30.x",
    ]
    for token in forged:
        assert isinstance(end(world, session, id_token_hint=token), ErrorPage)
    with world.database.read() as tx:
        ticket = world.issuer._tickets.make(tx, "logout", {"sid": session.id, "aud": "demo", "sub": "x"}, world.now)
    assert isinstance(end(world, session, id_token_hint=ticket), ErrorPage), "a ticket is not an ID token"


def test_each_client_of_the_login_is_told_once_and_others_are_not(world: World) -> None:
    session, other = world.identity.login("zhang"), world.identity.login("wang")
    for _ in range(2):
        world.tokens(session)
    world.tokens(other)
    world.code(session, client_id="spa", redirect_uri="https://spa.test/cb?app=1")  # has no back channel
    world.identity.logout(session.token, world.now)
    [(url, token)] = world.notes
    assert url == f"{DEMO}/backchannel-logout"
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    assert header["typ"] == "logout+jwt"
    assert claims["sid"] == session.id
    assert claims["aud"] == "demo"
    assert claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert "nonce" not in claims
    assert claims["exp"] - claims["iat"] == 120


def unsigned(claims: dict[str, Any], **header: str) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT', **header})}.{part(claims)}."


def hmac_signed(key: bytes, header: dict[str, str], claims: dict[str, Any]) -> str:
    """The old confusion: the public key's PEM taken as an HMAC secret."""
    import hashlib  # noqa: PLC0415 - joserfc itself refuses to make this
    import hmac  # noqa: PLC0415 - likewise

    body = ".".join(unsigned(claims, **header).split(".")[1:2])
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", **header}).encode()).rstrip(b"=").decode()
    mac = hmac.new(key, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def count(world: World, table: type) -> int:
    with world.database.read() as tx:
        return tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def audited(world: World) -> list[str]:
    with world.database.read() as tx:
        return list(tx.scalars(sa.select(AuditRow.action)))


def test_the_reply_of_an_error_holds_no_secret(world: World) -> None:
    reply: Reply = world.exchange("a-code-that-was-guessed", secret="x" * 40)
    assert "x" * 40 not in repr(reply)
    assert "guessed" not in repr(reply)
