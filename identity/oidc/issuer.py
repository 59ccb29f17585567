"""The OpenID Provider: each endpoint is a method from a request value to a reply value."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from identity.oidc import backchannel, clients, decision, discovery, engine, grants, logout, parameters
from identity.oidc.keys import ID_TOKEN, KeyRing
from identity.oidc.messages import ErrorPage, NeedLogin, OidcError, Redirect, Reply
from identity.oidc.tickets import PARAMETER, Tickets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.oidc.clients import Client
    from identity.oidc.messages import AuthorizeResult, HttpRequest, LogoutResult
    from identity.oidc.settings import OidcSettings
    from identity.oidc.tables import TokenRow
    from identity.provider import Audit, Session, Transactions
    from identity.secretbox import SecretBox

KEEP = timedelta(days=1)  # spent codes and tokens stay so long, so that a replay still finds what to revoke
PRIVATE = (("Cache-Control", "no-store"),)
PUBLIC = (("Cache-Control", "public, max-age=300"), ("Access-Control-Allow-Origin", "*"))


class Issuer:
    """An OpenID Provider over one database; safe to share between threads.

    ``session`` gives a live login by its id (``IdentityProvider.session_by_id``): a token is good for as long as the
    login it came from, so a revoked certificate or a disabled account ends both.
    """

    def __init__(
        self,
        settings: OidcSettings,
        database: Transactions,
        box: SecretBox,
        *,
        session: Callable[[str, datetime], Session | None],
        audit: Audit,
        random: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self.settings = settings
        self._database = database
        self._session = session
        self._audit = audit
        self._random = random
        self._keys = KeyRing(settings, box)
        self._tickets = Tickets(settings, self._keys)

    # --- front channel -----------------------------------------------------------------------------------------
    def authorize(self, request: HttpRequest, session: Session | None, now: datetime) -> AuthorizeResult:
        """Answer an authorization request (RFC 6749, 4.1.1; OpenID Connect Core 3.1.2) of whoever is logged in."""
        try:
            asked = parameters.query(request)
        except OidcError as error:
            return _page(error)
        with self._database.read() as tx:
            client = clients.get(tx, asked.get("client_id", ""))
            if client is None:
                return ErrorPage(400, "client.unknown", "没有登记这个业务系统。", "This system is not registered here.")
            if not client.check_redirect_uri(asked.get("redirect_uri", "")):
                return ErrorPage(
                    400,
                    "client.redirect",
                    "返回地址没有登记，已停止跳转。请联系该业务系统的管理员。",
                    "The return address is not registered, so you were not sent there. Tell that system's administrator.",
                )
            try:
                need = self._examine(tx, asked, client, session, now)
            except OidcError as error:
                return self._refuse(asked, error)
        if need is not None:
            return need
        assert session is not None  # decision.decide asks for a login otherwise
        return self._grant(asked, client, session, request.source_ip, now)

    def _examine(
        self, tx: Tx, asked: Mapping[str, str], client: Client, session: Session | None, now: datetime
    ) -> NeedLogin | None:
        wish = decision.wish(asked, self._hinted(tx, asked.get("id_token_hint", ""), now))
        engine.check(self._setting(tx, now), asked, session)
        need = decision.decide(wish, client, session, self._tickets.asked_at(tx, asked, now), now)
        if need is None:
            return None
        ticket = self._tickets.login(tx, asked, now)
        again = urlencode({**asked, PARAMETER: ticket})
        return NeedLogin(f"{discovery.AUTHORIZE}?{again}", wish.login_hint, need.acr, client.name_zh, client.name_en)

    def _hinted(self, tx: Tx, hint: str, now: datetime) -> str:
        if not hint:
            return ""
        claims = self._keys.verify(tx, hint, typ=ID_TOKEN, now=now)
        if claims is None:
            raise OidcError(
                "invalid_request", "id_token_hint 不是本系统签发的", "id_token_hint is not an ID token of ours"
            )
        return str(claims["sub"])

    def _grant(
        self, asked: Mapping[str, str], client: Client, session: Session, source_ip: str, now: datetime
    ) -> AuthorizeResult:
        with self._database.begin() as tx:
            try:
                code = engine.grant_code(self._setting(tx, now, source_ip), asked, session)
            except OidcError as error:
                return self._refuse(asked, error)
            self._audit(
                tx,
                at=now,
                actor=session.principal.username,
                action="oidc.login",
                target=client.client_id,
                tenant=session.principal.organization_id,
                source_ip=source_ip,
                detail={"acr": session.acr, "session": session.id},
            )
        return self._back(asked, {"code": code})

    def _refuse(self, asked: Mapping[str, str], error: OidcError) -> Redirect:
        return self._back(asked, {"error": error.code, "error_description": error.en})

    def _back(self, asked: Mapping[str, str], answer: Mapping[str, str]) -> Redirect:
        """Send the browser back with ``state`` as it came and ``iss`` (RFC 9207), errors included."""
        state = {"state": asked["state"]} if "state" in asked else {}
        return Redirect(logout.with_query(asked["redirect_uri"], {**answer, **state, "iss": self.settings.issuer}))

    def end_session(self, request: HttpRequest, session: Session | None, now: datetime) -> LogoutResult:
        """Answer a logout request (RP-Initiated Logout 1.0); the edge then ends the login itself."""
        try:
            asked = parameters.query(request)
            with self._database.read() as tx:
                return logout.decide(tx, asked, session, keys=self._keys, tickets=self._tickets, now=now)
        except OidcError as error:
            return _page(error)

    # --- back channel ------------------------------------------------------------------------------------------
    def token(self, request: HttpRequest, now: datetime) -> Reply:
        """Exchange a code or refresh token (RFC 6749, 4.1.3 and 6)."""
        try:
            asked = parameters.form(request)
        except OidcError as error:
            return _error(error)
        self._end_if_over(asked, now)
        with self._database.begin() as tx:
            reply = engine.exchange(self._setting(tx, now, request.source_ip), request, asked)
        return _with_challenge(reply)

    def _end_if_over(self, asked: Mapping[str, str], now: datetime) -> None:
        """Take back what came from a login that is over, before it can be exchanged."""
        with self._database.read() as tx:
            session_id = grants.session_of(tx, asked.get("code", ""), asked.get("refresh_token", ""))
        if session_id and self._session(session_id, now) is None:
            with self._database.begin() as tx:
                grants.revoke_session(tx, session_id, now)

    def userinfo(self, request: HttpRequest, now: datetime) -> Reply:
        """Tell the holder of an access token about the person (OpenID Connect Core 5.3)."""
        scheme, _, token = request.authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            return Reply(401, {}, (*PRIVATE, ("WWW-Authenticate", "Bearer")))
        with self._database.read() as tx:
            row = self._access(tx, token.strip(), now)
        session = self._session(row.session_id, now) if row is not None else None
        if row is None or session is None:
            challenge = 'Bearer error="invalid_token", error_description="the token is not valid any more"'
            return Reply(401, {"error": "invalid_token"}, (*PRIVATE, ("WWW-Authenticate", challenge)))
        return Reply(200, engine.person_claims(session, row.scope), PRIVATE)

    def _access(self, tx: Tx, token: str, now: datetime) -> TokenRow | None:
        row = grants.find_token(tx, token)
        good = row is not None and row.kind == "access" and grants.live(row, now)
        return row if good and row is not None and clients.get(tx, row.client_id) is not None else None

    def introspect(self, request: HttpRequest, now: datetime) -> Reply:
        """Tell a client about a token of its own, or a registered resource server about any (RFC 7662)."""
        try:
            asked = parameters.form(request)
            with self._database.read() as tx:
                client = engine.authenticate_confidential(tx, request.authorization, asked)
                row = grants.find_token(tx, asked.get("token", ""))
        except OidcError as error:
            return _error(error)
        allowed = row is not None and (client.introspects or row.client_id == client.client_id)
        if row is None or not allowed or not grants.live(row, now) or row.used_at is not None:
            return Reply(200, {"active": False}, PRIVATE)
        session = self._session(row.session_id, now)
        return Reply(200, self._said_of(row, session) if session is not None else {"active": False}, PRIVATE)

    def _said_of(self, row: TokenRow, session: Session) -> dict[str, Any]:
        return {
            "active": True,
            "iss": self.settings.issuer,
            "client_id": row.client_id,
            "sub": row.account_id,
            "username": session.principal.username,
            "scope": row.scope,
            "token_type": "Bearer" if row.kind == "access" else "refresh_token",
            "iat": int(row.issued_at.timestamp()),
            "exp": int(row.expires_at.timestamp()),
            "acr": session.acr,
        }

    def revoke(self, request: HttpRequest, now: datetime) -> Reply:
        """Revoke a client's own token and all that came from the same code (RFC 7009); unknown tokens are fine."""
        try:
            asked = parameters.form(request)
            with self._database.read() as tx:
                client, _ = engine.authenticate(tx, request.authorization, asked)
                row = grants.find_token(tx, asked.get("token", ""))
        except OidcError as error:
            return _error(error)
        if row is not None and row.client_id == client.client_id:
            with self._database.begin() as tx:
                grants.revoke_family(tx, row.family, now)
        return Reply(200, {}, PRIVATE)

    # --- metadata and keys -------------------------------------------------------------------------------------
    def jwks(self, now: datetime) -> Reply:
        """Give the public keys (RFC 7517)."""
        with self._database.read() as tx:
            return Reply(200, {"keys": self._keys.public(tx, now)}, PUBLIC)

    def discovery(self) -> Reply:
        """Give the provider's metadata (OpenID Connect Discovery 1.0)."""
        return Reply(200, discovery.document(self.settings), PUBLIC)

    def ensure_keys(self, now: datetime) -> None:
        """Make signing keys when due and forget what expired; at start, and then at least once a day."""
        with self._database.begin() as tx:
            if self._keys.ensure(tx, now):
                self._audit(tx, at=now, actor="system", action="oidc.keys", target=self.settings.issuer)
            grants.purge(tx, now - KEEP)

    # --- when a login ends -------------------------------------------------------------------------------------
    def notifications(self, tx: Tx, session_id: str, now: datetime) -> list[tuple[str, str]]:
        """Give ``(address, logout token)`` for each client to be told."""
        return backchannel.notifications(
            tx, session_id, now, settings=self.settings, keys=self._keys, random=self._random
        )

    def end_grants(self, tx: Tx, session_id: str, now: datetime) -> None:
        """Revoke every code and token of a login, in the transaction that ends it."""
        grants.revoke_session(tx, session_id, now)

    def _setting(self, tx: Tx, now: datetime, source_ip: str = "") -> engine.Setting:
        return engine.Setting(
            tx=tx,
            now=now,
            settings=self.settings,
            keys=self._keys,
            random=self._random,
            audit=self._audit,
            source_ip=source_ip,
        )


def _page(error: OidcError) -> ErrorPage:
    return ErrorPage(error.status, error.code, error.zh, error.en)


def _error(error: OidcError) -> Reply:
    return _with_challenge(Reply(error.status, {"error": error.code, "error_description": error.en}))


def _with_challenge(reply: Reply) -> Reply:
    """Name the authentication scheme when the client's was not accepted (RFC 6749, 5.2); never let an answer be kept."""
    challenge = (("WWW-Authenticate", 'Basic realm="oidc"'),) if reply.status == 401 else ()  # noqa: PLR2004 - HTTP status
    return Reply(reply.status, reply.body, (*PRIVATE, *challenge))
