"""A small whole world around the issuer: people, logins that end, a clock that stands still, real tables, a login page."""

from __future__ import annotations

import base64
import hashlib
import secrets
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from fastapi import FastAPI
from starlette.responses import HTMLResponse, RedirectResponse, Response

from identity.oidc import clients
from identity.oidc.issuer import Issuer
from identity.oidc.messages import HttpRequest, Redirect, Reply
from identity.oidc.settings import OidcSettings
from identity.principal import Principal, Role
from identity.provider import (
    ACR_CERTIFICATE,
    ACR_PASSWORD_TOTP,
    AMR_CERTIFICATE,
    AMR_PASSWORD_TOTP,
    Session,
)
from identity.secretbox import AesGcmBox
from identity.tables import Base as IdentityBase
from secops import audit
from secops.api import oidc
from secops.api import session as cookies
from secops.db import Base, Database, create_all

if TYPE_CHECKING:
    from starlette.requests import Request

START = datetime(2026, 11, 24, 2, 0, 0, 500_000, tzinfo=UTC)
SECRET = "a client secret that is long enough to pass 0123"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ISSUER = "https://sso.test:8443"
DEMO = "https://demo.test:8445"


@dataclass
class People:
    """An identity provider in memory: whoever names himself is logged in; a login ends for all at once."""

    world: World
    sessions: dict[str, Session] = field(default_factory=dict)

    def login(self, username: str, *, certificate: bool = False) -> Session:
        principal = Principal(
            account_id=f"id-{username}",
            username=username,
            organization_id="city",
            organization_path=("city",),
            roles=frozenset({Role.CIVIL_SERVANT}),
            display_name=f"{username}先生",
        )
        session = Session(
            id=secrets.token_hex(16),
            token=secrets.token_urlsafe(32),
            account_id=principal.account_id,
            principal=principal,
            auth_time=self.world.now,
            amr=AMR_CERTIFICATE if certificate else AMR_PASSWORD_TOTP,
            acr=ACR_CERTIFICATE if certificate else ACR_PASSWORD_TOTP,
            expires_at=self.world.now + timedelta(hours=10),
            certificate_serial="0a" if certificate else None,
        )
        self.sessions[session.token] = session
        return session

    def session(self, token: str, now: datetime) -> Session | None:
        found = self.sessions.get(token)
        return replace(found, token="") if found is not None and now < found.expires_at else None

    def session_by_id(self, session_id: str, now: datetime) -> Session | None:
        found = (session for session in self.sessions.values() if session.id == session_id and now < session.expires_at)
        return next(found, None)

    def logout(self, token: str, now: datetime) -> None:
        session = self.sessions.pop(token, None)
        if session is not None:
            self.world.ended(session, now)


class World:
    """Everything; ``now`` moves only when a test moves it."""

    def __init__(
        self,
        database: Database,
        *,
        issuer: str = ISSUER,
        demo: str = DEMO,
        now: datetime | None = START,
        provider: Any = None,
    ) -> None:
        self.database = database
        self._now = now
        self.identity: Any = provider or People(self)
        self.notes: list[tuple[str, str]] = []
        self.issuer = Issuer(
            OidcSettings(issuer=issuer),
            database,
            AesGcmBox(b"k" * 32, secrets.token_bytes),
            session=self.identity.session_by_id,
            audit=audit.record,
        )
        self.issuer.ensure_keys(self.now)
        self._register(demo)

    @property
    def now(self) -> datetime:
        return self._now or datetime.now(UTC)

    @now.setter
    def now(self, value: datetime) -> None:
        self._now = value

    def clock(self) -> datetime:
        return self.now

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def _register(self, demo: str) -> None:
        common = {"now": self.now, "name_zh": "演示系统", "name_en": "Demo system"}
        with self.database.begin() as tx:
            clients.register(
                tx,
                client_id="demo",
                secret=SECRET,
                redirect_uris=[f"{demo}/callback"],
                post_logout_uris=[f"{demo}/logged-out", f"{demo}/"],
                backchannel_logout_uri=f"{demo}/backchannel-logout",
                id_token_alg="ES256",
                refreshes=True,
                **common,
            )
            clients.register(tx, client_id="spa", redirect_uris=["https://spa.test/cb?app=1"], **common)
            clients.register(
                tx,
                client_id="vault",
                secret=SECRET[::-1],
                redirect_uris=["https://vault.test/cb"],
                required_acr=ACR_CERTIFICATE,
                introspects=True,
                **common,
            )

    def ended(self, session: Session, now: datetime) -> None:
        with self.database.begin() as tx:
            self.issuer.end_grants(tx, session.id, now)
            self.notes += self.issuer.notifications(tx, session.id, now)

    # --- the client's side, by hand ----------------------------------------------------------------------------
    def ask(self, **changes: str | None) -> HttpRequest:
        """An authorization request of the demo client; None takes a parameter away."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "demo",
            "redirect_uri": f"{DEMO}/callback",
            "scope": "openid profile organization roles",
            "state": "s-1",
            "nonce": "n-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        kept = {name: value for name, value in (parameters | changes).items() if value is not None}
        return HttpRequest(method="GET", path="/oidc/authorize", query=urlencode(kept))

    def authorize(self, session: Session | None, **changes: str | None) -> Any:
        return self.issuer.authorize(self.ask(**changes), session, self.now)

    def code(self, session: Session, **changes: str | None) -> str:
        result = self.authorize(session, **changes)
        assert isinstance(result, Redirect), result
        return answer(result)["code"]

    def exchange(self, code: str, *, client: str = "demo", secret: str = SECRET, **changes: str | None) -> Reply:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"{DEMO}/callback",
            "code_verifier": VERIFIER,
        }
        kept = {name: value for name, value in (form | changes).items() if value is not None}
        return self.issuer.token(post(kept, basic(client, secret) if secret else ""), self.now)

    def tokens(self, session: Session) -> dict[str, Any]:
        reply = self.exchange(self.code(session))
        assert reply.status == 200, reply
        return reply.body

    def userinfo(self, access_token: str) -> Reply:
        request = HttpRequest(method="GET", path="/oidc/userinfo", authorization=f"Bearer {access_token}")
        return self.issuer.userinfo(request, self.now)

    def app(self) -> FastAPI:
        """The issuer behind its real router, with a login page that believes what it is told."""
        app = FastAPI(openapi_url=None)
        app.state.service = self
        app.include_router(oidc.router(self))  # type: ignore[arg-type]
        app.add_route("/login", self._login_page, ["GET", "POST"])
        return app

    async def _login_page(self, request: Request) -> Response:
        target = cookies.safe_next(request.query_params.get("next", "/"))
        if request.method == "GET":
            return HTMLResponse(
                f'<form method="post" action="?{escape(urlencode({"next": target}))}"><input name="username"></form>'
            )
        form = parse_qs((await request.body()).decode())
        session = self.identity.login(form["username"][0], certificate=form.get("certificate") == ["1"])
        response = RedirectResponse(target, 303)
        cookies.set_cookie(response, session.token)
        return response


def answer(result: Redirect) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(result.url).query))


def basic(client: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()


def post(form: dict[str, str], authorization: str = "") -> HttpRequest:
    return HttpRequest(
        method="POST",
        path="/oidc/token",
        body=urlencode(form).encode(),
        content_type="application/x-www-form-urlencoded",
        authorization=authorization,
    )


def open_database(path: Path) -> Database:
    database = Database(f"sqlite:///{path}")
    create_all(database, [Base.metadata, IdentityBase.metadata])
    return database


def serve(arguments: list[str]) -> None:
    """``python -m tests.oidc.world STATE ISSUER DEMO CERT KEY CA``: the world as a process of its own, telling clients of logouts."""

    import uvicorn  # noqa: PLC0415 - likewise

    from secops.notify import backchannel  # noqa: PLC0415 - likewise

    state, issuer, demo, cert, key, ca = arguments
    world = World(open_database(Path(state)), issuer=issuer, demo=demo, now=None)
    root = Path(ca).read_bytes()

    def tell(session: Session, now: datetime) -> None:
        with world.database.begin() as tx:
            notes = world.issuer.notifications(tx, session.id, now)
        backchannel.tell(notes, trust=root)

    world.ended = tell  # type: ignore[method-assign]
    parts = urlsplit(issuer)
    uvicorn.run(
        world.app(),
        host="127.0.0.1",
        port=parts.port or 443,
        ssl_certfile=cert,
        ssl_keyfile=key,
        log_level="warning",
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    serve(sys.argv[1:])
