from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from identity.provider import ACR_CERTIFICATE, ACR_PASSWORD_TOTP

SCOPES = ("openid", "profile", "organization", "roles")
ALGORITHMS = ("ES256", "RS256")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """What the issuer is called and how long the things it gives out live.

    Raises:
        ValueError: the issuer is not an ``https`` origin (OpenID Connect Discovery 1.0, 3: no query, no fragment).
    """

    issuer: str  # e.g. https://sso.city.example:8443, without a trailing slash
    code_lifetime: timedelta = timedelta(seconds=60)
    access_lifetime: timedelta = timedelta(minutes=10)
    refresh_lifetime: timedelta = timedelta(hours=12)  # never beyond the end of the login
    id_token_lifetime: timedelta = timedelta(minutes=10)
    logout_token_lifetime: timedelta = timedelta(minutes=2)
    ticket_lifetime: timedelta = timedelta(minutes=30)  # how long a login page or a logout question may stay open
    key_period: timedelta = timedelta(days=90)  # a signing key signs for so long
    key_ahead: timedelta = timedelta(days=1)  # and is published so long before it signs
    key_tail: timedelta = timedelta(days=30)  # and verifies logout hints so long after it stopped
    acr_values: tuple[str, ...] = (ACR_CERTIFICATE, ACR_PASSWORD_TOTP)

    def __post_init__(self) -> None:
        parts = urlsplit(self.issuer)
        if parts.scheme != "https" or not parts.hostname or parts.path or parts.query or parts.fragment:
            raise ValueError(f"issuer {self.issuer!r} must be an https origin such as https://sso.example:8443")

    def url(self, path: str) -> str:
        """Give the absolute URL of ``path`` (which begins with a slash) on the issuer's origin."""
        return self.issuer + path
