"""Signing keys: sealed at rest, published ahead of use, kept to verify for a while after.

For each algorithm there is always one key that signs. Its successor is published ``key_ahead`` before it takes over, so
that relying parties which cache the key set have it in time; the predecessor stays published for ``key_tail``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import sqlalchemy as sa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from identity.oidc.settings import ALGORITHMS
from identity.oidc.tables import KeyRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from identity.oidc.settings import OidcSettings
    from identity.secretbox import SecretBox

SigningKey: TypeAlias = ECKey | RSAKey
RSA_BITS = 2048
ID_TOKEN = "JWT"  # noqa: S105 - the value of a typ header
TICKET = "ticket+jwt"  # our own notes to ourselves in URLs and forms
LOGOUT_TOKEN = "logout+jwt"  # noqa: S105 - OpenID Connect Back-Channel Logout 1.0, 2.4


class KeyRing:
    """The issuer's keys; unsealed ones are remembered by their id."""

    def __init__(self, settings: OidcSettings, box: SecretBox) -> None:
        self._settings = settings
        self._box = box
        self._unsealed: dict[str, SigningKey] = {}

    def ensure(self, tx: Session, now: datetime) -> bool:
        """Make the first keys or the next ones when due, drop those past use; give whether anything was made.

        Call it at start and then at least once a day.
        """
        tx.execute(sa.delete(KeyRow).where(KeyRow.expires_at <= now))
        made = [self._ensure(tx, algorithm, now) for algorithm in ALGORITHMS]
        return any(made)

    def _ensure(self, tx: Session, algorithm: str, now: datetime) -> bool:
        newest = tx.scalar(_newest_first(algorithm).limit(1))
        if newest is None:
            self._create(tx, algorithm, created_at=now, active_from=now)
            return True
        due = newest.active_from + self._settings.key_period
        if now < due - self._settings.key_ahead:
            return False
        takes_over = max(due, now + self._settings.key_ahead)
        newest.expires_at = takes_over + self._settings.key_tail
        self._create(tx, algorithm, created_at=now, active_from=takes_over)
        return True

    def _create(self, tx: Session, algorithm: str, *, created_at: datetime, active_from: datetime) -> None:
        key = ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(RSA_BITS)
        kid = key.thumbprint()
        named = {"kid": kid, "alg": algorithm, "use": "sig"}
        row = KeyRow(kid=kid, algorithm=algorithm, created_at=created_at, active_from=active_from)
        row.public_jwk = {**key.as_dict(private=False), **named}
        row.sealed_private = self._box.seal(orjson.dumps({**key.as_dict(private=True), **named}), _context(kid))
        tx.add(row)
        tx.flush()

    def public(self, tx: Session, now: datetime) -> list[dict[str, Any]]:
        """Give the public keys (RFC 7517) that tokens may be verified with, the coming ones included."""
        return [row.public_jwk for row in tx.scalars(_published(now))]

    def sign(self, tx: Session, claims: dict[str, Any], *, algorithm: str, typ: str, now: datetime) -> str:
        """Sign ``claims`` with the key of the day.

        Raises:
            LookupError: ``ensure`` was never called.
        """
        row = tx.scalar(_newest_first(algorithm).where(KeyRow.active_from <= now).limit(1))
        if row is None:
            raise LookupError(f"there is no {algorithm} signing key; run the issuer's ensure_keys first")
        header = {"alg": algorithm, "kid": row.kid, "typ": typ}
        return jwt.encode(header, claims, self._private(row), [algorithm])

    def verify(self, tx: Session, token: str, *, typ: str, now: datetime) -> dict[str, Any] | None:
        """Give the claims of a token that this issuer signed as a ``typ``; None for anything else.

        The algorithm is the key's, never the token's choice; expiry is for the caller to judge.
        """
        keys = KeySet.import_key_set({"keys": self.public(tx, now)})
        try:
            decoded = jwt.decode(token, keys, list(ALGORITHMS))
        except (JoseError, ValueError, TypeError, RecursionError):  # joserfc lets base64 and JSON errors through
            return None
        ours = decoded.claims.get("iss") == self._settings.issuer and "kid" in decoded.header
        return decoded.claims if ours and str(decoded.header.get("typ")).lower() == typ.lower() else None

    def _private(self, row: KeyRow) -> SigningKey:
        key = self._unsealed.get(row.kid)
        if key is None:
            jwk = orjson.loads(self._box.open(row.sealed_private, _context(row.kid)))
            key = ECKey.import_key(jwk) if row.algorithm == "ES256" else RSAKey.import_key(jwk)
            self._unsealed[row.kid] = key
        return key


def _context(kid: str) -> bytes:
    return b"oidc_keys/" + kid.encode()


def _newest_first(algorithm: str) -> sa.Select[KeyRow]:
    return sa.select(KeyRow).where(KeyRow.algorithm == algorithm).order_by(KeyRow.active_from.desc())


def _published(now: datetime) -> sa.Select[KeyRow]:
    return sa.select(KeyRow).where(KeyRow.expires_at.is_(None) | (KeyRow.expires_at > now)).order_by(KeyRow.active_from)
