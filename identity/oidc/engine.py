"""Authlib's protocol engine, bound to one transaction: the only module where its untyped objects are met.

What Authlib decides: grant and response types, PKCE, redirect URI of the exchange, refresh scope, the order of steps.
What is decided here: how clients authenticate, and which rows stand behind its models.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    OAuth2Error,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode

from identity.oidc import clients, grants
from identity.oidc.keys import ID_TOKEN
from identity.oidc.messages import OidcError, Reply
from identity.oidc.tables import CodeRow, TokenRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session as Tx

    from identity.oidc.clients import Client
    from identity.oidc.keys import KeyRing
    from identity.oidc.messages import HttpRequest
    from identity.oidc.settings import OidcSettings
    from identity.provider import Audit, Session

AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")
SECRET_BYTES = 32  # of codes and tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What stands around one request."""

    tx: Tx
    now: datetime
    settings: OidcSettings
    keys: KeyRing
    random: Callable[[int], str]
    audit: Audit
    source_ip: str = ""


def check(setting: Setting, parameters: Mapping[str, str], session: Session | None) -> None:
    """Let the engine examine an authorization request without granting anything.

    Raises:
        OidcError: with the error code of RFC 6749, 4.1.2.1 or OpenID Connect Core, 3.1.2.6.
    """
    try:
        _Server(setting).get_consent_grant(_Request("GET", setting, parameters), end_user=session)
    except OAuth2Error as error:
        raise _ours(error) from error


def grant_code(setting: Setting, parameters: Mapping[str, str], session: Session) -> str:
    """Issue an authorization code for a request that ``check`` accepted.

    Raises:
        OidcError: the request is not acceptable any more.
    """
    server = _Server(setting)
    request = _Request("GET", setting, parameters)
    try:
        grant = server.get_authorization_grant(request)
        grant.create_authorization_response(grant.validate_authorization_request(), session)
    except OAuth2Error as error:
        raise _ours(error) from error
    return str(request.issued)


def exchange(setting: Setting, http: HttpRequest, parameters: Mapping[str, str]) -> Reply:
    """Answer a token request (RFC 6749, 4.1.3 and 6)."""
    reply: Reply = _Server(setting).create_token_response(_Request("POST", setting, parameters, http.authorization))
    return reply


def authenticate(tx: Tx, authorization: str, parameters: Mapping[str, str]) -> tuple[Client, str]:
    """Know the client behind a back-channel request, and the method it used (RFC 6749, 2.3).

    Raises:
        OidcError: ``invalid_client``, or ``invalid_request`` when it tried two methods at once.
    """
    if not authorization:
        client_id, secret, method = parameters.get("client_id", ""), parameters.get("client_secret", ""), ""
        method = "client_secret_post" if secret else "none"
    else:
        if "client_secret" in parameters:
            raise OidcError("invalid_request", "只能使用一种客户端认证方式", "use one way of client authentication")
        client_id, secret = _basic(authorization)
        method = "client_secret_basic"
        if parameters.get("client_id", client_id) != client_id:
            raise OidcError("invalid_request", "客户端标识不一致", "the two client identifiers differ")
    client = clients.get(tx, client_id)
    proven = clients.secret_matches(client, secret)
    known = proven if method != "none" else client is not None and client.public
    if client is None or not known:
        raise OidcError("invalid_client", "客户端认证失败", "client authentication failed", status=401)
    return client, method


def authenticate_confidential(tx: Tx, authorization: str, parameters: Mapping[str, str]) -> Client:
    """Know a client by its secret.

    Raises:
        OidcError: as ``authenticate``; a public client cannot prove who it is.
    """
    client, method = authenticate(tx, authorization, parameters)
    if method == "none":
        raise OidcError("invalid_client", "该客户端不能查询令牌", "public clients may not ask this", status=401)
    return client


def _basic(authorization: str) -> tuple[str, str]:
    """Read HTTP Basic credentials, form-encoded inside (RFC 6749, 2.3.1); empty when they are not that."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(encoded.strip(), validate=True).decode("ascii").partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(name), unquote_plus(secret)


def _ours(error: OAuth2Error) -> OidcError:
    description = str(error.get_error_description() or error.error)
    return OidcError(str(error.error), f"请求不符合协议（{error.error}）", description, status=int(error.status_code))


class _Request(OAuth2Request):  # type: ignore[misc]  # Authlib is untyped
    """A request of ours in Authlib's shape."""

    def __init__(self, method: str, setting: Setting, parameters: Mapping[str, str], authorization: str = "") -> None:
        super().__init__(method, setting.settings.issuer)
        self.setting = setting
        self.payload = BasicOAuth2Payload(dict(parameters))
        self.authorization = authorization
        self.issued = ""  # the code, once given

    @property
    def form(self) -> dict[str, str]:
        """Give the parameters; they come from the body of a POST only."""
        parameters: dict[str, str] = self.payload.data
        return parameters


class _Server(AuthorizationServer):  # type: ignore[misc]  # Authlib is untyped
    """An authorization server for the length of one transaction."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting = setting
        self.register_grant(_CodeGrant, [_S256(required=True), _IdToken()])
        self.register_grant(_RefreshGrant)
        self.register_token_generator("default", self._generate)

    def query_client(self, client_id: str) -> Client | None:
        return clients.get(self.setting.tx, client_id)

    def create_oauth2_request(self, request: _Request) -> _Request:
        return request

    def handle_response(self, status: int, body: dict[str, Any], headers: list[tuple[str, str]]) -> Reply:
        return Reply(status, body, tuple(headers))

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def authenticate_client(self, request: _Request, *_methods_and_endpoint: object) -> Client:
        try:
            client, method = authenticate(self.setting.tx, request.authorization, request.form)
        except OidcError as error:
            kind = InvalidClientError if error.code == "invalid_client" else InvalidRequestError
            raise kind(error.en, status_code=error.status) from error
        request.auth_method = method
        return client

    def _generate(self, *, include_refresh_token: bool, scope: str, **_rest: object) -> dict[str, Any]:
        token = {
            "token_type": "Bearer",
            "access_token": self.setting.random(SECRET_BYTES),
            "expires_in": int(self.setting.settings.access_lifetime.total_seconds()),
            "scope": scope,
        }
        return token | ({"refresh_token": self.setting.random(SECRET_BYTES)} if include_refresh_token else {})

    def save_token(self, token: dict[str, Any], request: _Request) -> None:
        source = request.authorization_code or request.refresh_token
        lifetimes = self.setting.settings
        self._save("access", token["access_token"], source, token["scope"], lifetimes.access_lifetime)
        if "refresh_token" in token:
            # RFC 6749, 6: the new refresh token keeps the scope that was granted, whatever was asked for this time
            self._save("refresh", token["refresh_token"], source, source.scope, lifetimes.refresh_lifetime)
        self.setting.tx.flush()

    def _save(self, kind: str, token: str, source: grants.Grant, scope: str, lifetime: timedelta) -> None:
        now = self.setting.now
        row = TokenRow(token_sha256=grants.digest(token), kind=kind, scope=scope, issued_at=now)
        row.family = source.code_sha256 if isinstance(source, CodeRow) else source.family
        row.client_id, row.account_id, row.session_id = source.client_id, source.account_id, source.session_id
        row.session_expires_at = source.session_expires_at
        row.expires_at = min(now + lifetime, source.session_expires_at)
        self.setting.tx.add(row)

    def refuse_replay(self, family: str, client: Client, what: str) -> None:
        """Revoke all that came from a code or refresh token that was shown twice (RFC 6749, 4.1.2; RFC 9700, 4.14)."""
        grants.revoke_family(self.setting.tx, family, self.setting.now)
        self.setting.audit(
            self.setting.tx,
            at=self.setting.now,
            actor=client.client_id,
            action="oidc.replay",
            outcome="failure",
            target=what,
            source_ip=self.setting.source_ip,
            reason="shown a second time; everything issued from it was revoked",
        )


class _CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib is untyped
    """The authorization code grant over our rows."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def generate_authorization_code(self) -> str:
        return str(self.server.setting.random(SECRET_BYTES))

    def save_authorization_code(self, code: str, request: _Request) -> None:
        setting: Setting = self.server.setting
        session: Session = request.user
        data = request.payload.data
        row = CodeRow(
            code_sha256=grants.digest(code),
            client_id=request.client.client_id,
            account_id=session.account_id,
            session_id=session.id,
            redirect_uri=data["redirect_uri"],
            scope=request.scope,
            nonce=data.get("nonce", ""),
            code_challenge=data["code_challenge"],
            claims=login_claims(session) | person_claims(session, request.scope),
            issued_at=setting.now,
            expires_at=min(setting.now + setting.settings.code_lifetime, session.expires_at),
            session_expires_at=session.expires_at,
        )
        setting.tx.add(row)
        setting.tx.flush()
        grants.remember_client(setting.tx, row)
        request.issued = code

    def query_authorization_code(self, code: str, client: Client) -> CodeRow | None:
        """Spend the code: an exchange that fails afterwards (wrong verifier) has used it up as well."""
        setting: Setting = self.server.setting
        row = grants.find_code(setting.tx, code, client.client_id)
        if row is None:
            return None
        if not grants.spend(setting.tx, row, setting.now):
            self.server.refuse_replay(row.code_sha256, client, "authorization code")
            return None
        return row if grants.live(row, setting.now) else None

    def delete_authorization_code(self, authorization_code: CodeRow) -> None:
        """Keep it: a code that is shown again must be recognised."""

    def authenticate_user(self, authorization_code: CodeRow) -> str:
        return authorization_code.account_id


class _RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]  # Authlib is untyped
    """Refresh tokens, a new one at every use."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> TokenRow | None:
        setting: Setting = self.server.setting
        row = grants.find_refresh(setting.tx, refresh_token, self.request.client.client_id)
        if row is None:
            return None
        if row.used_at is not None:
            self.server.refuse_replay(row.family, self.request.client, "refresh token")
            return None
        return row if grants.live(row, setting.now) else None

    def authenticate_user(self, refresh_token: TokenRow) -> str:
        return refresh_token.account_id

    def revoke_old_credential(self, refresh_token: TokenRow) -> None:
        if not grants.spend(self.server.setting.tx, refresh_token, self.server.setting.now):
            self.server.refuse_replay(refresh_token.family, self.request.client, "refresh token")
            raise InvalidGrantError


class _S256(CodeChallenge):  # type: ignore[misc]  # Authlib is untyped
    """PKCE for every client, with S256 and nothing else (RFC 9700, 2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    CODE_CHALLENGE_METHODS = {"S256": CodeChallenge.CODE_CHALLENGE_METHODS["S256"]}  # noqa: RUF012 - Authlib's form

    def validate_code_challenge(self, grant: AuthorizationCodeGrant, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if "code_challenge" not in data:
            raise InvalidRequestError("Missing 'code_challenge': PKCE is required.")
        if data.get("code_challenge_method") != "S256":  # absent means plain (RFC 7636, 4.3)
            raise InvalidRequestError("'code_challenge_method' must be S256.")
        super().validate_code_challenge(grant, redirect_uri)

    def get_authorization_code_challenge_method(self, _authorization_code: CodeRow) -> str:
        return "S256"


class _IdToken(OpenIDCode):  # type: ignore[misc]  # Authlib is untyped
    """The ID token of the code flow (OpenID Connect Core 3.1.3.6)."""

    def exists_nonce(self, _nonce: str, _request: _Request) -> bool:
        """Leave it to the client, who alone can compare it; PKCE already ties the code to the request."""
        return False

    def encode_id_token(self, token: dict[str, Any], request: _Request) -> str:
        row: CodeRow = request.authorization_code
        setting: Setting = request.setting
        claims = id_token_claims(row, token["access_token"], setting)
        algorithm = request.client.id_token_alg
        return setting.keys.sign(setting.tx, claims, algorithm=algorithm, typ=ID_TOKEN, now=setting.now)


def id_token_claims(row: CodeRow, access_token: str, setting: Setting) -> dict[str, Any]:
    """Give the claims of the ID token for a code (OpenID Connect Core 2)."""
    issued = int(setting.now.timestamp())
    half = hashlib.sha256(access_token.encode("ascii")).digest()[:16]  # both our algorithms hash with SHA-256
    return {
        **row.claims,
        "iss": setting.settings.issuer,
        "aud": row.client_id,
        "iat": issued,
        "exp": issued + int(setting.settings.id_token_lifetime.total_seconds()),
        "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode("ascii"),
        **({"nonce": row.nonce} if row.nonce else {}),
    }


def login_claims(session: Session) -> dict[str, Any]:
    """Give what an ID token says of the login itself."""
    return {
        "sub": session.account_id,
        "sid": session.id,
        "auth_time": int(session.auth_time.timestamp()),
        "acr": session.acr,
        "amr": list(session.amr),
    }


def person_claims(session: Session, scope: str) -> dict[str, Any]:
    """Give what the scope lets a client know of the person."""
    person, asked = session.principal, scope.split()
    claims: dict[str, Any] = {"sub": session.account_id}
    if "profile" in asked:
        claims |= {"name": person.display_name or person.username, "preferred_username": person.username}
    if "organization" in asked:
        claims["organization"] = person.organization_id
    if "roles" in asked:
        claims["roles"] = sorted(person.roles)
    return claims
