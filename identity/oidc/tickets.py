"""Notes to ourselves that pass through the browser: signed, short-lived, for one use and one person or request."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from identity.oidc.keys import TICKET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session as Tx

    from identity.oidc.keys import KeyRing
    from identity.oidc.settings import OidcSettings

PARAMETER = "ticket"


class Tickets:
    """Makes and reads them."""

    def __init__(self, settings: OidcSettings, keys: KeyRing) -> None:
        self._settings = settings
        self._keys = keys

    def make(self, tx: Tx, use: str, about: Mapping[str, Any], now: datetime) -> str:
        """Sign ``about`` for ``use``."""
        until = now + self._settings.ticket_lifetime
        claims = {
            "iss": self._settings.issuer,
            "use": use,
            "iat": now.timestamp(),  # with its fraction: a login in the same second must not count as a later one
            "exp": int(until.timestamp()),
            **about,
        }
        return self._keys.sign(tx, claims, algorithm="ES256", typ=TICKET, now=now)

    def read(self, tx: Tx, use: str, ticket: str, now: datetime) -> dict[str, Any] | None:
        """Give what a ticket of ours says; None when it is not one, for something else, or over its time."""
        claims = self._keys.verify(tx, ticket, typ=TICKET, now=now) if ticket else None
        if claims is None or claims.get("use") != use or now.timestamp() >= claims["exp"]:
            return None
        return claims

    def login(self, tx: Tx, parameters: Mapping[str, str], now: datetime) -> str:
        """Note that this request sent the person to the login page now."""
        return self.make(tx, "login", {"req": request_digest(parameters)}, now)

    def asked_at(self, tx: Tx, parameters: Mapping[str, str], now: datetime) -> datetime | None:
        """Give when this very request sent the person to the login page; None when it did not."""
        claims = self.read(tx, "login", parameters.get(PARAMETER, ""), now)
        if claims is None or claims.get("req") != request_digest(parameters):
            return None
        return datetime.fromtimestamp(claims["iat"], UTC)


def request_digest(parameters: Mapping[str, str]) -> str:
    """Name a request by all its parameters but the ticket."""
    rest = sorted((name, value) for name, value in parameters.items() if name != PARAMETER)
    return hashlib.sha256(urlencode(rest).encode()).hexdigest()
