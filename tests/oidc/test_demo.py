from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.oidc.browser import Browser, browser, demo_app, hidden
from tests.oidc.world import DEMO, ISSUER, World

if TYPE_CHECKING:
    from starlette.requests import Request


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_one_login_serves_two_systems_and_one_logout_ends_both(world: World) -> None:
    demo = demo_app(world.app(), world.clock)

    async def story() -> None:
        person = browser(world, demo)
        async with person.http:
            assert "尚未登录" in (await person.go(DEMO)).text
            home = await person.login(DEMO, "zhang", certificate="1")
            assert str(home.url) == f"{DEMO}/"
            assert "zhang先生" in home.text
            assert "数字证书" in home.text
            assert "client certificate" in home.text
            person.http.cookies.delete("__Host-demo", domain="demo.test")
            again = await person.go(f"{DEMO}/login")
            assert "zhang先生" in again.text, "the second login asks nothing"

            out = await person.send(f"{DEMO}/logout", hidden(again))
            assert "已退出登录" in out.text
            assert str(out.url).startswith(f"{DEMO}/?state=")
            assert world.identity.sessions == {}
            assert 'name="username"' in (await person.go(f"{DEMO}/login")).text

    run(story())


def test_a_logout_at_the_issuer_reaches_the_demo_by_the_back_channel(world: World) -> None:
    demo = demo_app(world.app(), world.clock)

    async def story() -> None:
        zhang, wang = browser(world, demo), browser(world, demo)
        async with zhang.http, wang.http:
            await zhang.login(DEMO, "zhang")
            await wang.login(DEMO, "wang")
            question = await zhang.go(f"{ISSUER}/oidc/logout")
            assert "退出登录？" in question.text
            assert len(world.identity.sessions) == 2, "a mere link must not log anybody out"
            done = await zhang.send(f"{ISSUER}/oidc/logout", hidden(question))
            assert "已退出登录" in done.text
            [(url, token)] = world.notes
            told = await wang.http.post(url, data={"logout_token": token})
            assert told.status_code == 200
            assert told.headers["cache-control"] == "no-store"
            assert "尚未登录" in (await zhang.go(DEMO)).text
            assert "wang先生" in (await wang.go(DEMO)).text
            assert (await wang.http.post(url, data={"logout_token": token})).status_code == 400, "a replay"

    run(story())


def test_pages_escape_and_forbid_scripts(world: World) -> None:
    demo = demo_app(world.app(), world.clock)

    async def story() -> None:
        person = browser(world, demo)
        async with person.http:
            home = await person.login(DEMO, '<script>alert("x")</script>')
            assert "&lt;script&gt;" in home.text
            assert "<script" not in home.text
            problem = await person.go(f"{DEMO}/callback?state=<script>&error=<script>&iss={ISSUER}")
            assert problem.status_code == 400
            assert "<script" not in problem.text
            bad = await person.go(f"{ISSUER}/oidc/authorize?client_id=<script>alert(1)</script>")
            assert bad.status_code == 400
            assert "<script" not in bad.text
            for page in (home, problem, bad):
                policy = page.headers["content-security-policy"]
                assert policy.startswith("default-src 'none'; style-src 'sha256-")
                assert "unsafe" not in policy
                assert "script-src" not in policy
                style = re.search(r"<style>(.*?)</style>", page.text)
                assert style is not None
                digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
                assert f"'sha256-{digest}'" in policy

    run(story())


def test_logging_out_needs_the_form_of_the_page(world: World) -> None:
    demo = demo_app(world.app(), world.clock)

    async def story() -> None:
        person = browser(world, demo)
        async with person.http:
            await person.login(DEMO, "zhang")
            assert (await person.send(f"{DEMO}/logout", {"form_token": "0" * 64})).status_code == 400
            assert "zhang先生" in (await person.go(DEMO)).text

    run(story())


Tamper = Callable[[dict[str, list[str]]], dict[str, list[str]]]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda q: {k: v for k, v in q.items() if k != "state"},
        lambda q: q | {"state": ["guessed"]},
        lambda q: q | {"state": [*q["state"], "x"]},
        lambda q: {k: v for k, v in q.items() if k != "iss"},  # mix-up: an answer without its sender
        lambda q: q | {"iss": ["https://evil.test"]},
        lambda q: q | {"code": ["guessed"]},
        lambda q: {k: v for k, v in q.items() if k != "code"},
        lambda q: {k: v for k, v in q.items() if k != "code"} | {"error": ["access_denied"]},
    ],
)
def test_the_demo_refuses_a_tampered_answer(world: World, tamper: Tamper) -> None:
    demo = demo_app(world.app(), world.clock)

    async def story() -> None:
        person = browser(world, demo)
        async with person.http:
            answer = await _answer(person, world, "zhang")
            changed = tamper(parse_qs(urlsplit(answer).query))
            page = await person.http.get(f"{DEMO}/callback", params=changed)
            assert page.status_code == 400
            assert "尚未登录" in (await person.go(DEMO)).text

    run(story())


def test_an_answer_is_good_once_and_in_its_own_browser_only(world: World) -> None:
    demo = demo_app(world.app(), world.clock)

    async def story() -> None:
        attacker, victim = browser(world, demo), browser(world, demo)
        async with attacker.http, victim.http:
            answer = await _answer(attacker, world, "attacker")
            await victim.go(f"{DEMO}/")
            assert (await victim.go(answer)).status_code == 400, (
                "login CSRF: the victim would work in the attacker's account"
            )
            assert (await attacker.go(answer)).status_code == 400, "and the attempt is spent"
            fresh = await _answer(attacker, world, "attacker")
            assert (await attacker.go(fresh)).status_code == 200
            assert (await attacker.go(fresh)).status_code == 400

    run(story())


async def _answer(person: Browser, world: World, username: str) -> str:
    """Begin a login at the demo and give the issuer's answer without delivering it."""
    begun = await person.http.get(f"{DEMO}/login", follow_redirects=False)
    session = world.identity.login(username)
    cookie = {"cookie": f"__Host-secops={session.token}"}
    back = await person.http.get(begun.headers["location"], headers=cookie, follow_redirects=False)
    return str(back.headers["location"])


class Impostor:
    """An issuer that answers under the right name, with whatever token a test wants to see refused."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.key = ECKey.generate_key("P-256", {"kid": "k1", "alg": "ES256", "use": "sig"})
        self.nonce = ""
        self.forge: Callable[[Impostor], str] = Impostor.good

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(self.world.now.timestamp())
        half = hashlib.sha256(b"at").digest()[:16]
        standard = {
            "iss": ISSUER, "aud": "demo", "sub": "x", "sid": "s", "iat": now, "exp": now + 60, "auth_time": now,
            "nonce": self.nonce, "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(), "name": "假",
        }  # fmt: skip
        return {name: value for name, value in (standard | changes).items() if value is not None}

    def good(self, **changes: Any) -> str:
        return jwt.encode({"alg": "ES256", "kid": "k1", "typ": "JWT"}, self.claims(**changes), self.key)

    def app(self) -> Starlette:
        async def answer(request: Request) -> Response:
            match request.url.path:
                case "/.well-known/openid-configuration":
                    return JSONResponse(self.world.issuer.discovery().body)
                case "/oidc/jwks":
                    return JSONResponse({"keys": [self.key.as_dict(private=False)]})
            return JSONResponse({"access_token": "at", "token_type": "Bearer", "id_token": self.forge(self)})

        return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


def confused(impostor: Impostor) -> str:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "HS256", "kid": "k1", "typ": "JWT"}, impostor.claims())
    )
    mac = hmac.new(impostor.key.as_pem(private=False), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def unsigned(impostor: Impostor) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, impostor.claims())
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


@pytest.mark.parametrize(
    ("forge", "accepted"),
    [
        (Impostor.good, True),
        (lambda i: i.good(nonce="other"), False),
        (lambda i: i.good(nonce=None), False),
        (lambda i: i.good(aud="spa"), False),
        (lambda i: i.good(aud=["demo", "spa"]), False),
        (lambda i: i.good(iss="https://evil.test"), False),
        (lambda i: i.good(exp=int(i.world.now.timestamp()) - 61), False),
        (lambda i: i.good(exp=None), False),
        (lambda i: i.good(iat=int(i.world.now.timestamp()) + 3600), False),
        (lambda i: i.good(at_hash="x"), False),
        (lambda i: i.good(at_hash=None), False),
        (lambda i: i.good(sid=None), False),
        (lambda i: jwt.encode({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}, i.claims(), i.key), False),
        (
            lambda i: jwt.encode({"alg": "ES256", "kid": "k1", "typ": "JWT"}, i.claims(), ECKey.generate_key("P-256")),
            False,
        ),
        (
            lambda i: jwt.encode({"alg": "ES256", "kid": "k2", "typ": "JWT"}, i.claims(), ECKey.generate_key("P-256")),
            False,
        ),
        (unsigned, False),
        (confused, False),
        (lambda _: "", False),
        (lambda _: "é.é.é", False),
        (lambda _: "a.b", False),
    ],
)
def test_the_demo_believes_only_a_whole_id_token(
    world: World, forge: Callable[[Impostor], str], *, accepted: bool
) -> None:
    impostor = Impostor(world)
    impostor.forge = forge
    demo = demo_app(impostor.app(), world.clock)

    async def story() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=demo)) as http:
            begun = await http.get(f"{DEMO}/login")
            asked = parse_qs(urlsplit(begun.headers["location"]).query)
            assert asked["code_challenge_method"] == ["S256"]
            impostor.nonce = asked["nonce"][0]
            params = {"code": "c", "state": asked["state"][0], "iss": ISSUER}
            page = await http.get(f"{DEMO}/callback", params=params)
            assert page.status_code == (303 if accepted else 400)
            home = await http.get(DEMO)
            assert ("假" in home.text) is accepted

    run(story())


def _logout_claims(world: World, changes: dict[str, Any]) -> dict[str, Any]:
    now = int(world.now.timestamp())
    standard = {
        "iss": ISSUER, "aud": "demo", "sub": "id-zhang", "iat": now, "exp": now + 120, "jti": "j",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }  # fmt: skip
    return {name: value for name, value in (standard | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "typ", "accepted"),
    [
        ({}, "logout+jwt", True),
        ({"sid": None}, "logout+jwt", True),  # every login of the person
        ({}, "JWT", False),
        ({"nonce": "n"}, "logout+jwt", False),
        ({"aud": "spa"}, "logout+jwt", False),
        ({"iss": "https://evil.test"}, "logout+jwt", False),
        ({"events": None}, "logout+jwt", False),
        ({"events": {"x": {}}}, "logout+jwt", False),
        ({"events": []}, "logout+jwt", False),
        ({"sid": None, "sub": None}, "logout+jwt", False),
        ({"jti": None}, "logout+jwt", False),
        ({"exp": 1}, "logout+jwt", False),
        ({"iat": None}, "logout+jwt", False),
        ({"sid": 7, "sub": None}, "logout+jwt", False),
    ],
)
def test_the_demo_believes_only_a_whole_logout_token(
    world: World, changes: dict[str, Any], typ: str, *, accepted: bool
) -> None:
    demo = demo_app(world.app(), world.clock)

    async def story() -> None:
        person = browser(world, demo)
        async with person.http:
            await person.login(DEMO, "zhang")
            [session] = world.identity.sessions.values()
            with world.database.read() as tx:
                claims = _logout_claims(world, {"sid": session.id} | changes)
                token = world.issuer._keys.sign(tx, claims, algorithm="ES256", typ=typ, now=world.now)
            told = await person.http.post(f"{DEMO}/backchannel-logout", data={"logout_token": token})
            assert told.status_code == (200 if accepted else 400)
            assert ("尚未登录" in (await person.go(DEMO)).text) is accepted

    run(story())


def test_a_logout_that_overtakes_the_login_wins(world: World) -> None:
    demo = demo_app(world.app(), world.clock)

    async def story() -> None:
        person = browser(world, demo)
        async with person.http:
            answer = await _answer(person, world, "zhang")
            [session] = world.identity.sessions.values()
            with world.database.read() as tx:
                [(url, token)] = world.issuer.notifications(tx, session.id, world.now)
            assert (await person.http.post(url, data={"logout_token": token})).status_code == 200
            assert (await person.go(answer)).status_code == 400

    run(story())


def test_the_demo_explains_an_issuer_that_does_not_answer(world: World) -> None:
    async def broken(_request: Request) -> Response:
        return JSONResponse(["not", "metadata"], 503)

    demo = demo_app(Starlette(routes=[Route("/{path:path}", broken)]), world.clock)

    async def story() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=demo)) as http:
            page = await http.get(f"{DEMO}/login")
            assert page.status_code == 400
            assert "认证中心" in page.text
            big = await http.post(f"{DEMO}/backchannel-logout", content=b"a" * 30_000)
            assert big.status_code == 400
            assert (await http.get(f"{DEMO}/backchannel-logout")).status_code == 405

    run(story())
