from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.oidc.world import CHALLENGE, DEMO, ISSUER, SECRET, VERIFIER, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def at_the_edge(world: World, work: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def story() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=world.app()), base_url=ISSUER) as http:
            await work(http)

    asyncio.run(story())


def test_metadata_and_keys_are_public_and_cacheable(world: World) -> None:
    async def work(http: httpx.AsyncClient) -> None:
        found = await http.get("/.well-known/openid-configuration")
        assert found.json()["issuer"] == ISSUER
        keys = await http.get(found.json()["jwks_uri"])
        assert len(keys.json()["keys"]) == 2
        for answer in (found, keys):
            assert "max-age" in answer.headers["cache-control"]
            assert answer.headers["access-control-allow-origin"] == "*"

    at_the_edge(world, work)


def test_the_login_page_gets_a_relative_way_back_and_hints(world: World) -> None:
    async def work(http: httpx.AsyncClient) -> None:
        url = f"/oidc/authorize?{world.ask(login_hint='zhang').query}"
        to = urlsplit((await http.get(url)).headers["location"])
        assert (to.scheme, to.netloc, to.path) == ("", "", "/login")
        asked = parse_qs(to.query)
        assert asked["login_hint"] == ["zhang"]
        assert asked["next"][0].startswith("/oidc/authorize?")
        assert len(asked["next"][0]) <= 2000
        too_long = await http.get(f"/oidc/authorize?{world.ask(state='s' * 2000).query}")
        assert too_long.status_code == 400

    at_the_edge(world, work)


def test_after_the_login_form_a_page_leads_on_so_that_form_action_holds(world: World) -> None:
    async def work(http: httpx.AsyncClient) -> None:
        to_login = await http.get(f"/oidc/authorize?{world.ask().query}")
        back = await http.post(to_login.headers["location"], data={"username": "zhang"})
        assert back.status_code == 303
        page = await http.get(back.headers["location"])
        assert page.status_code == 200
        assert f'<meta http-equiv="refresh" content="0;url={DEMO}/callback?code=' in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        direct = await http.get(f"/oidc/authorize?{world.ask().query}")
        assert direct.status_code == 303
        assert direct.headers["location"].startswith(f"{DEMO}/callback?code=")

    at_the_edge(world, work)


def test_the_authorization_endpoint_takes_forms_too(world: World) -> None:
    session = world.identity.login("zhang")

    async def work(http: httpx.AsyncClient) -> None:
        form = {name: values[0] for name, values in parse_qs(world.ask().query).items()}
        answer = await http.post("/oidc/authorize", data=form, headers={"cookie": f"__Host-secops={session.token}"})
        assert answer.status_code == 303
        assert "code=" in answer.headers["location"]

    at_the_edge(world, work)


def test_tokens_over_http_with_basic_authentication(world: World) -> None:
    code = world.code(world.identity.login("zhang"))

    async def work(http: httpx.AsyncClient) -> None:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"{DEMO}/callback",
            "code_verifier": VERIFIER,
        }
        refused = await http.post("/oidc/token", data=form, auth=("demo", "wrong"))
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic")
        tokens = await http.post("/oidc/token", data=form, auth=("demo", SECRET))
        assert tokens.status_code == 200
        assert tokens.headers["cache-control"] == "no-store"
        bearer = {"authorization": f"Bearer {tokens.json()['access_token']}"}
        for call in (http.get, http.post):
            assert (await call("/oidc/userinfo", headers=bearer)).json()["preferred_username"] == "zhang"
        assert (await http.get("/oidc/userinfo")).headers["www-authenticate"] == "Bearer"
        assert (await http.get("/oidc/token")).status_code == 405
        said = await http.post("/oidc/introspect", data={"token": tokens.json()["access_token"]}, auth=("demo", SECRET))
        assert said.json()["active"] is True
        gone = await http.post("/oidc/revoke", data={"token": tokens.json()["access_token"]}, auth=("demo", SECRET))
        assert gone.status_code == 200
        assert (await http.get("/oidc/userinfo", headers=bearer)).status_code == 401

    at_the_edge(world, work)


def test_logout_ends_the_cookie_and_the_login(world: World) -> None:
    session = world.identity.login("zhang")
    hint = world.tokens(session)["id_token"]

    async def work(http: httpx.AsyncClient) -> None:
        query = {"id_token_hint": hint, "post_logout_redirect_uri": f"{DEMO}/logged-out", "state": "x"}
        answer = await http.get("/oidc/logout", params=query, headers={"cookie": f"__Host-secops={session.token}"})
        assert answer.headers["location"] == f"{DEMO}/logged-out?state=x"
        assert "__Host-secops=" in answer.headers["set-cookie"]
        assert "Max-Age=0" in answer.headers["set-cookie"]

    at_the_edge(world, work)
    assert world.identity.sessions == {}
    assert [url for url, _ in world.notes] == [f"{DEMO}/backchannel-logout"]


def test_the_challenge_of_the_world_is_the_verifiers(world: World) -> None:
    assert len(CHALLENGE) == 43
    assert world.exchange(world.code(world.identity.login("zhang"))).status == 200
