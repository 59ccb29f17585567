"""The relying party's side of OpenID Connect: discovery, code flow with PKCE, and validation of what comes back.

Nothing is taken on trust: the answer must carry our ``state`` (kept for this very browser) and the issuer's name
(RFC 9207), the ID token our ``nonce``, and every signature is checked against the issuer's published keys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

SCOPE: Final = "openid profile organization roles"
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LEEWAY: Final = 60  # seconds between two machines' clocks
KEYS_EVERY: Final = 30  # seconds between two looks for new keys
TIMEOUT: Final = 5.0
ANSWER_MAX: Final = 100_000  # characters of a JSON answer


class LoginError(Exception):
    """A login or logout message that is not to be believed, or an issuer that does not answer."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How this system is known to its issuer."""

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    origin: str  # our own, e.g. https://127.0.0.1:8445
    algorithm: str = "RS256"  # of tokens, as registered (OpenID Connect Registration 1.0); a token must not choose

    @property
    def redirect_uri(self) -> str:
        """Where codes are sent."""
        return f"{self.origin}/callback"

    @property
    def post_logout_uri(self) -> str:
        """Where the browser comes back to after a logout."""
        return f"{self.origin}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A login on its way: what the answer must match."""

    state: str
    nonce: str
    verifier: str
    browser: str  # hash of the cookie of the browser that began it
    started: datetime


class RelyingParty:
    """Speaks with one issuer; metadata and keys are fetched when first needed."""

    def __init__(
        self, registration: Registration, http: Callable[[], httpx.AsyncClient], *, now: Callable[[], datetime]
    ) -> None:
        self.registration = registration
        self._http = http
        self._now = now
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._keys_at: datetime | None = None

    async def metadata(self) -> dict[str, Any]:
        """Give the issuer's metadata; the document must be the issuer's own (OpenID Connect Discovery 1.0, 4.3)."""
        if not self._metadata:
            found = await self._get(f"{self.registration.issuer}/.well-known/openid-configuration")
            if found.get("issuer") != self.registration.issuer:
                raise LoginError("认证中心的元数据不属于它自己", "the metadata belongs to another issuer")
            self._metadata = found
        return self._metadata

    async def login_url(self, attempt: Attempt) -> str:
        """Give the address that begins a login."""
        metadata = await self.metadata()
        url: str = prepare_grant_uri(
            metadata["authorization_endpoint"],
            client_id=self.registration.client_id,
            response_type="code",
            redirect_uri=self.registration.redirect_uri,
            scope=SCOPE,
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return url

    async def finish(self, answer: Mapping[str, str], attempt: Attempt) -> tuple[dict[str, Any], str]:
        """Exchange the code of a callback; give the ID token's claims and the ID token.

        Raises:
            LoginError: the answer is an error, another issuer's, or its token is not valid.
        """
        if not hmac.compare_digest(answer.get("iss", "").encode(), self.registration.issuer.encode()):
            raise LoginError("登录应答不是本系统的认证中心发出的", "the answer does not come from our issuer")
        if "code" not in answer:
            code = answer.get("error", "")[:100]
            raise LoginError(f"认证中心没有同意登录（{code}）", f"the issuer did not allow the login ({code})")
        metadata = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": self.registration.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        tokens = await self._post(metadata["token_endpoint"], form)
        id_token = str(tokens.get("id_token", ""))
        claims = await self._verified(id_token, "JWT")
        self._check_id_token(claims, attempt.nonce, str(tokens.get("access_token", "")))
        return claims, id_token

    def _check_id_token(self, claims: dict[str, Any], nonce: str, access_token: str) -> None:
        """Check what OpenID Connect Core 3.1.3.7 and 3.1.3.8 ask for."""
        essential = {name: {"essential": True} for name in ("sub", "exp", "iat", "sid", "auth_time")}
        self._validate(claims, essential)
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise LoginError("身份令牌不是为这次登录签发的", "the ID token was not issued for this login")
        half = base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).rstrip(b"=").decode()
        if not hmac.compare_digest(str(claims.get("at_hash", "")).encode(), half.encode()):
            raise LoginError("访问令牌与身份令牌不符", "the access token does not belong to the ID token")

    async def logout_token(self, token: str) -> dict[str, Any]:
        """Validate a logout token (OpenID Connect Back-Channel Logout 1.0, 2.6) and give its claims.

        Raises:
            LoginError: it is not a logout token of our issuer for us.
        """
        claims = await self._verified(token, "logout+jwt")
        self._validate(claims, {name: {"essential": True} for name in ("iat", "exp", "jti")})
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict) or "nonce" in claims:
            raise LoginError("不是退出令牌", "this is not a logout token")
        if not (isinstance(claims.get("sid"), str) or isinstance(claims.get("sub"), str)):
            raise LoginError("退出令牌没有说明退出谁", "the logout token names nobody")
        return claims

    async def logout_url(self, id_token: str, state: str) -> str:
        """Give the address that ends the login everywhere (OpenID Connect RP-Initiated Logout 1.0)."""
        metadata = await self.metadata()
        parameters = {
            "id_token_hint": id_token,
            "post_logout_redirect_uri": self.registration.post_logout_uri,
            "state": state,
        }
        return str(httpx.URL(metadata["end_session_endpoint"]).copy_merge_params(parameters))

    def _validate(self, claims: dict[str, Any], essential: dict[str, Any]) -> None:
        registry = JWTClaimsRegistry(
            now=int(self._now().timestamp()),
            leeway=LEEWAY,
            iss={"essential": True, "value": self.registration.issuer},
            aud={"essential": True, "value": self.registration.client_id},
            **essential,
        )
        try:
            registry.validate(claims)
        except JoseError as error:
            raise LoginError("令牌无效或已过期", f"the token is not valid: {error.error}") from error
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1:
            raise LoginError("令牌还签发给了别的系统", "the token was issued to other systems as well")

    async def _verified(self, token: str, typ: str) -> dict[str, Any]:
        """Check the signature, looking for new keys once when the key is not known."""
        for fetch in (False, True):
            keys = await self._key_set(fetch=fetch)
            try:
                decoded = jwt.decode(token, keys, [self.registration.algorithm])
            except (JoseError, ValueError, TypeError, RecursionError):  # joserfc lets base64 and JSON errors through
                continue
            if str(decoded.header.get("typ", "")).lower() == typ.lower():
                return decoded.claims
            break
        raise LoginError("令牌的签名无效", "the token's signature does not hold")

    async def _key_set(self, *, fetch: bool) -> KeySet:
        now = self._now()
        recent = self._keys_at is not None and (now - self._keys_at).total_seconds() < KEYS_EVERY
        if self._keys is None or (fetch and not recent):
            found = await self._get((await self.metadata())["jwks_uri"])
            try:
                self._keys = KeySet.import_key_set({"keys": found["keys"]})
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise LoginError("认证中心的公钥无法识别", "the issuer's keys cannot be read") from error
            self._keys_at = now
        return self._keys

    async def _get(self, url: str) -> dict[str, Any]:
        return await self._json("GET", url)

    async def _post(self, url: str, form: Mapping[str, str]) -> dict[str, Any]:
        who = httpx.BasicAuth(self.registration.client_id, self.registration.secret)
        return await self._json("POST", url, data=form, auth=who)

    async def _json(self, method: str, url: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - passed through to httpx
        try:
            async with self._http() as client:
                answer = await client.request(method, url, timeout=TIMEOUT, follow_redirects=False, **more)
                found = answer.json() if len(answer.content) <= ANSWER_MAX else None
        except (httpx.HTTPError, ValueError) as error:
            raise LoginError("认证中心没有应答，请稍后再试", "the issuer does not answer; try again later") from error
        if answer.status_code != httpx.codes.OK or not isinstance(found, dict):
            code = str(found.get("error", ""))[:100] if isinstance(found, dict) else ""
            raise LoginError(f"认证中心拒绝了请求（{code}）", f"the issuer refused the request ({code})")
        return found
