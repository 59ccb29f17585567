"""OpenID Connect Back-Channel Logout 1.0: telling relying parties that a login ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from identity.oidc import clients, grants
from identity.oidc.keys import LOGOUT_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.oidc.keys import KeyRing
    from identity.oidc.settings import OidcSettings

EVENT = "http://schemas.openid.net/event/backchannel-logout"


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
