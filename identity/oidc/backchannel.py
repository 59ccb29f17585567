"""OpenID Connect Back-Channel Logout 1.0: telling relying parties that a login ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from identity.oidc import clients, grants
from identity.oidc.keys import LOGOUT_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.oidc.keys import KeyRing
    from identity.oidc.settings import OidcSettings

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TIMEOUT_SECONDS = 5.0
DELIVERED = frozenset({200, 204})  # 2.8 says 200; some frameworks turn an empty 200 into 204


class DeliveryError(Exception):
    """A relying party did not take the news; worth another attempt."""


class Answer(Protocol):
    """The part of an HTTP response that matters."""

    @property
    def status_code(self) -> int:
        """The status."""
        ...


class HttpClient(Protocol):
    """The part of ``httpx.Client`` that is used; it must verify TLS certificates."""

    def post(self, url: str, *, data: Mapping[str, Any], timeout: float, follow_redirects: bool) -> Answer:
        """Send a form."""
        ...


def notifications(
    tx: Tx,
    session_id: str,
    now: datetime,
    *,
    settings: OidcSettings,
    keys: KeyRing,
    random: Callable[[int], str],
) -> list[tuple[str, str]]:
    """Give ``(address, logout token)`` for every client that got tokens in this login and wants to know.

    Repeating it gives new tokens for the same clients, so a delivery that failed half-way can be done again.
    """
    made = []
    for told in grants.clients_of(tx, session_id):
        client = clients.get(tx, told.client_id)
        if client is not None and client.backchannel_logout_uri:
            claims = {
                "iss": settings.issuer,
                "aud": client.client_id,
                "sub": told.account_id,
                "sid": session_id,
                "iat": int(now.timestamp()),
                "exp": int((now + settings.logout_token_lifetime).timestamp()),
                "jti": random(16),
                "events": {EVENT: {}},
            }
            token = keys.sign(tx, claims, algorithm=client.id_token_alg, typ=LOGOUT_TOKEN, now=now)
            made.append((client.backchannel_logout_uri, token))
    return made


def deliver(url: str, token: str, client: HttpClient) -> None:
    """Hand one logout token over; redirects are not followed, the answer's body is not read into anything.

    Raises:
        DeliveryError: the relying party answered with an error. Errors of the client (no connection) pass through.
    """
    answer = client.post(url, data={"logout_token": token}, timeout=TIMEOUT_SECONDS, follow_redirects=False)
    if answer.status_code not in DELIVERED:
        raise DeliveryError(f"{url} answered {answer.status_code} to a logout token")
