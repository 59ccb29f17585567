from __future__ import annotations

from datetime import timedelta

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from identity.oidc.messages import ErrorPage, NeedLogin, Redirect
from identity.provider import ACR_CERTIFICATE, ACR_PASSWORD_TOTP
from tests.oidc.world import DEMO, ISSUER, SECRET, World, answer, basic, post


def id_token_claims(world: World, token: str) -> dict[str, object]:
    return jwt.decode(token, KeySet.import_key_set(world.issuer.jwks(world.now).body), ["ES256", "RS256"]).claims


def test_a_code_becomes_tokens_about_the_person(world: World) -> None:
    session = world.identity.login("zhang")
    world.later(minutes=3)
    result = world.authorize(session)
    assert isinstance(result, Redirect)
    assert result.url.startswith(f"{DEMO}/callback?")
    assert answer(result)["state"] == "s-1"
    assert answer(result)["iss"] == ISSUER  # RFC 9207

    reply = world.exchange(answer(result)["code"])
    assert reply.status == 200
    assert ("Cache-Control", "no-store") in reply.headers
    assert reply.body["token_type"] == "Bearer"
    claims = id_token_claims(world, reply.body["id_token"])
    assert claims["sub"] == "id-zhang"
    assert claims["aud"] == "demo"
    assert claims["iss"] == ISSUER
    assert claims["nonce"] == "n-1"
    assert claims["auth_time"] == int(session.auth_time.timestamp())
    assert claims["sid"] == session.id
    assert claims["acr"] == ACR_PASSWORD_TOTP
    assert claims["amr"] == ["pwd", "otp"]
    assert claims["preferred_username"] == "zhang"
    assert claims["roles"] == ["civil_servant"]
    assert claims["organization"] == "city"

    info = world.userinfo(reply.body["access_token"])
    assert info.status == 200
    assert info.body["sub"] == "id-zhang"


def test_scope_limits_what_is_told_and_unknown_scopes_are_ignored(world: World) -> None:
    session = world.identity.login("zhang")
    reply = world.exchange(world.code(session, scope="openid email"))
    assert reply.body["scope"] == "openid"
    assert "name" not in id_token_claims(world, reply.body["id_token"])
    assert world.userinfo(reply.body["access_token"]).body == {"sub": "id-zhang"}


def test_a_public_client_needs_no_secret_and_its_registered_query_is_kept(world: World) -> None:
    session = world.identity.login("zhang")
    asked = {"client_id": "spa", "redirect_uri": "https://spa.test/cb?app=1"}
    result = world.authorize(session, **asked)
    assert isinstance(result, Redirect)
    assert result.url.startswith("https://spa.test/cb?app=1&code=")
    reply = world.exchange(answer(result)["code"], secret="", **asked)
    assert reply.status == 200
    assert "refresh_token" not in reply.body
    assert jwt.decode(
        reply.body["id_token"], KeySet.import_key_set(world.issuer.jwks(world.now).body), ["RS256"]
    )  # the default algorithm


def test_nobody_logged_in_leads_to_the_login_page_and_back(world: World) -> None:
    need = world.authorize(None, login_hint="张三")
    assert isinstance(need, NeedLogin)
    assert need.next.startswith("/oidc/authorize?")
    assert need.login_hint == "张三"
    assert need.client_zh == "演示系统"


def test_prompt_none_never_shows_a_page(world: World) -> None:
    assert answer(world.authorize(None, prompt="none"))["error"] == "login_required"
    session = world.identity.login("zhang")
    assert "code" in answer(world.authorize(session, prompt="none"))
    world.later(seconds=61)
    refused = answer(world.authorize(session, prompt="none", max_age="60"))
    assert refused["error"] == "login_required"
    assert refused["state"] == "s-1"
    assert refused["iss"] == ISSUER


@pytest.mark.parametrize("asked", [{"prompt": "login"}, {"max_age": "0"}, {"prompt": "select_account"}])
def test_a_new_login_is_asked_for_once(world: World, asked: dict[str, str]) -> None:
    session = world.identity.login("zhang")
    world.later(seconds=1)
    need = world.authorize(session, **asked)
    assert isinstance(need, NeedLogin)
    back = world.ask().__class__(method="GET", query=need.next.partition("?")[2])
    assert isinstance(world.issuer.authorize(back, session, world.now), NeedLogin), "the old login must not do"
    world.later(seconds=20)
    again = world.identity.login("zhang")
    assert isinstance(world.issuer.authorize(back, again, world.now), Redirect)


def test_the_proof_of_a_new_login_is_good_for_its_own_request_only(world: World) -> None:
    need = world.authorize(world.identity.login("zhang"), prompt="login")
    assert isinstance(need, NeedLogin)
    world.later(seconds=20)
    again = world.identity.login("zhang")
    other = need.next.partition("?")[2].replace("state=s-1", "state=s-2")
    assert isinstance(
        world.issuer.authorize(world.ask().__class__(method="GET", query=other), again, world.now), NeedLogin
    )


def test_max_age_counts_from_the_login(world: World) -> None:
    session = world.identity.login("zhang")
    world.later(seconds=59)
    assert isinstance(world.authorize(session, max_age="60"), Redirect)
    world.later(seconds=2)
    assert isinstance(world.authorize(session, max_age="60"), NeedLogin)


def test_a_client_that_requires_certificates_gets_them(world: World) -> None:
    asked = {"client_id": "vault", "redirect_uri": "https://vault.test/cb"}
    session = world.identity.login("zhang")
    need = world.authorize(session, **asked)
    assert isinstance(need, NeedLogin)
    assert need.acr == ACR_CERTIFICATE
    assert answer(world.authorize(session, prompt="none", **asked))["error"] == "login_required"
    world.later(seconds=5)
    back = world.ask().__class__(method="GET", query=need.next.partition("?")[2])
    still = world.issuer.authorize(back, world.identity.login("zhang"), world.now)
    assert answer(still)["error"] == "unmet_authentication_requirements"
    assert isinstance(
        world.issuer.authorize(back, world.identity.login("zhang", certificate=True), world.now), Redirect
    )


def test_preferred_means_are_asked_for_but_not_insisted_on(world: World) -> None:
    session = world.identity.login("zhang")
    need = world.authorize(session, acr_values=ACR_CERTIFICATE)
    assert isinstance(need, NeedLogin)
    assert need.acr == ACR_CERTIFICATE
    world.later(seconds=5)
    back = world.ask().__class__(method="GET", query=need.next.partition("?")[2])
    assert isinstance(world.issuer.authorize(back, world.identity.login("zhang"), world.now), Redirect)


def test_a_hint_for_somebody_else_asks_for_that_person(world: World) -> None:
    hint = world.tokens(world.identity.login("zhang"))["id_token"]
    other = world.identity.login("wang")
    assert isinstance(world.authorize(other, id_token_hint=hint), NeedLogin)
    assert answer(world.authorize(other, id_token_hint=hint, prompt="none"))["error"] == "login_required"
    assert isinstance(world.authorize(world.identity.login("zhang"), id_token_hint=hint), Redirect)


def test_refresh_tokens_rotate_and_end_with_the_login(world: World) -> None:
    session = world.identity.login("zhang")
    first = world.tokens(session)
    world.later(minutes=9)
    reply = world.issuer.token(refresh(first["refresh_token"]), world.now)
    assert reply.status == 200
    assert reply.body["refresh_token"] != first["refresh_token"]
    assert world.userinfo(reply.body["access_token"]).status == 200
    world.identity.logout(session.token, world.now)
    assert world.userinfo(reply.body["access_token"]).status == 401
    assert world.issuer.token(refresh(reply.body["refresh_token"]), world.now).body["error"] == "invalid_grant"


def test_a_narrowed_refresh_does_not_narrow_the_grant(world: World) -> None:
    first = world.tokens(world.identity.login("zhang"))
    narrowed = world.issuer.token(refresh(first["refresh_token"], scope="openid"), world.now).body
    assert narrowed["scope"] == "openid"
    assert world.issuer.token(refresh(narrowed["refresh_token"]), world.now).body["scope"] == first["scope"]


def test_a_session_that_ends_unnoticed_ends_its_tokens_too(world: World) -> None:
    session = world.identity.login("zhang")
    code, tokens = world.code(session), world.tokens(session)
    del world.identity.sessions[session.token]  # expired: nobody called the hook
    assert world.exchange(code).body["error"] == "invalid_grant"
    assert world.userinfo(tokens["access_token"]).status == 401
    assert introspect(world, tokens["access_token"]) == {"active": False}


def test_access_tokens_and_codes_expire(world: World) -> None:
    session = world.identity.login("zhang")
    code, tokens = world.code(session), world.tokens(session)
    world.later(seconds=60)
    assert world.exchange(code).body["error"] == "invalid_grant"
    world.later(minutes=9)
    assert world.userinfo(tokens["access_token"]).status == 401


def test_introspection_tells_the_owner_and_registered_resource_servers_only(world: World) -> None:
    token = world.tokens(world.identity.login("zhang"))["access_token"]
    said = introspect(world, token)
    assert said["active"] is True
    assert said["sub"] == "id-zhang"
    assert said["client_id"] == "demo"
    assert introspect(world, token, basic("vault", SECRET[::-1]))["active"] is True
    assert world.issuer.introspect(post({"token": token, "client_id": "spa"}), world.now).status == 401


def test_revocation_ends_the_family_and_spares_other_clients(world: World) -> None:
    tokens = world.tokens(world.identity.login("zhang"))
    assert (
        world.issuer.revoke(post({"token": tokens["access_token"]}, basic("vault", SECRET[::-1])), world.now).status
        == 200
    )
    assert introspect(world, tokens["access_token"])["active"] is True
    assert world.issuer.revoke(post({"token": tokens["refresh_token"]}, basic("demo", SECRET)), world.now).status == 200
    assert introspect(world, tokens["access_token"]) == {"active": False}
    assert world.issuer.revoke(post({"token": "unknown"}, basic("demo", SECRET)), world.now).status == 200


def test_discovery_says_what_is_and_what_is_not(world: World) -> None:
    document = world.issuer.discovery().body
    assert document["issuer"] == ISSUER
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["request_uri_parameter_supported"] is False
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["backchannel_logout_session_supported"] is True
    assert {key["alg"] for key in world.issuer.jwks(world.now).body["keys"]} == {"ES256", "RS256"}
    assert not any({"d", "p", "q"} & set(key) for key in world.issuer.jwks(world.now).body["keys"])


def test_keys_rotate_with_an_overlap(world: World) -> None:
    session = world.identity.login("zhang")
    old = world.tokens(session)["id_token"]
    world.now += timedelta(days=89, seconds=1)
    world.issuer.ensure_keys(world.now)
    assert len(world.issuer.jwks(world.now).body["keys"]) == 4, "the next ones are published before they sign"
    kid = kid_of(world.tokens(world.identity.login("zhang"))["id_token"])
    assert kid == kid_of(old)
    world.later(days=1)
    assert kid_of(world.tokens(world.identity.login("zhang"))["id_token"]) != kid
    id_token_claims(world, old)
    world.later(days=31)
    world.issuer.ensure_keys(world.now)
    assert kid not in {key["kid"] for key in world.issuer.jwks(world.now).body["keys"]}


def test_an_unknown_client_gets_a_page_not_a_redirect(world: World) -> None:
    page = world.authorize(None, client_id="nobody")
    assert isinstance(page, ErrorPage)
    assert page.zh


def kid_of(token: str) -> str:
    from joserfc import jws  # noqa: PLC0415 - one use

    return str(jws.extract_compact(token.encode()).headers()["kid"])


def refresh(token: str, **more: str) -> object:
    return post({"grant_type": "refresh_token", "refresh_token": token, **more}, basic("demo", SECRET))


def introspect(world: World, token: str, who: str = "") -> dict[str, object]:
    reply = world.issuer.introspect(post({"token": token}, who or basic("demo", SECRET)), world.now)
    assert reply.status == 200
    return reply.body
