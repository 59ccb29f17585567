"""What the rest of the service asks of an identity provider, embedded or Keycloak, and what it hands in.

Organisation id equals tenant id; the root is ``city``. Every method that changes something or decides a login writes
its audit record in the same transaction. Methods raise ``IdentityError`` when a person asked for what cannot be done;
a refused login is not an error but a ``Login`` without a session.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.principal import Principal, Role

ACR_PASSWORD_TOTP: Final = "urn:secops:acr:password-totp"  # noqa: S105 - a name, not a password
ACR_CERTIFICATE: Final = "urn:secops:acr:certificate"
AMR_PASSWORD_TOTP: Final = ("pwd", "otp")  # RFC 8176
AMR_CERTIFICATE: Final = ("swk",)


class IdentityError(Exception):
    """Something a person asked for cannot be done; shown as it is. ``code`` is stable, e.g. ``password.weak``."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(en)
        self.code = code
        self.zh = zh
        self.en = en


class OrganizationKind(StrEnum):
    """What an organisation is."""

    CITY = "city"
    COUNTY = "county"
    DEPARTMENT = "department"
    CONTRACTOR = "contractor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A node of the tree of organisations; its id is also the tenant's."""

    id: str  # [a-z0-9-], at most 40 characters
    name_zh: str
    name_en: str
    parent_id: str | None  # None for the root only
    kind: OrganizationKind
    path: tuple[str, ...]  # from the root down to this one


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person's account, without secrets."""

    id: str
    username: str
    display_name: str
    organization_id: str
    roles: frozenset[Role]
    status: Literal["active", "disabled"]
    created_at: datetime
    has_password: bool
    has_totp: bool
    last_login_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A live login. ``token`` is the cookie's value and is there only in the answer to the login itself."""

    id: str  # names the session in logs and logout tokens ("sid"); opens nothing
    token: str
    account_id: str
    principal: Principal
    auth_time: datetime
    amr: tuple[str, ...]  # RFC 8176: ("pwd", "otp") or ("swk",)
    acr: str  # ACR_PASSWORD_TOTP or ACR_CERTIFICATE
    expires_at: datetime  # the absolute limit; the idle limit may end it sooner
    certificate_serial: str | None  # hex, as the CA writes it; None for a password login
    source_ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The outcome of an attempt: a session, or what to tell the person (never which factor was wrong)."""

    session: Session | None
    reason_zh: str = ""
    reason_en: str = ""
    retry_after: int = 0  # seconds to wait before another attempt is looked at; 0: at once


class Transactions(Protocol):
    """The state database, as far as identity needs it (``secops.db.Database`` fits)."""

    def begin(self) -> AbstractContextManager[Tx]:
        """Open a write transaction; commits at the end, rolls back on an error."""
        ...

    def read(self) -> AbstractContextManager[Tx]:
        """Open a session for reading only."""
        ...


class Audit(Protocol):
    """Writes one audit record in the caller's transaction (``secops.audit.record`` fits)."""

    def __call__(
        self,
        tx: Tx,
        *,
        at: datetime,
        actor: str,
        action: str,
        outcome: Literal["success", "failure"] = "success",
        target: str = "",
        tenant: str = "",
        reason: str = "",
        source_ip: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> object:
        """Append the record."""
        ...


class CertificateStatus(Protocol):
    """Asks the CA about a serial; called outside of write transactions, at every lookup of a certificate session."""

    def __call__(self, serial: str, now: datetime) -> str:
        """Give ``good``, ``revoked``, ``expired`` or ``unknown``; anything but ``good`` refuses."""
        ...


class OnSessionEnd(Protocol):
    """Told of every session that ends, in the transaction that ends it."""

    def __call__(self, tx: Tx, session_id: str, account_id: str, now: datetime) -> None:
        """Publish the end, e.g. to the outbox."""
        ...


class Random(Protocol):
    """A source of secret random bytes (``secrets.token_bytes`` fits)."""

    def __call__(self, nbytes: int, /) -> bytes:
        """Give ``nbytes`` unpredictable bytes."""
        ...


class IdentityProvider(Protocol):
    """Accounts, logins, sessions and organisations."""

    # --- the first administrator -------------------------------------------------------------------------------
    def setup_token(self, now: datetime) -> str | None:
        """Make the one-time set-up secret (URL-safe, 256 bits), replacing the one before; None once set up."""
        ...

    def begin_setup(self, token: str, now: datetime) -> bool:
        """Tell whether ``token`` opens the set-up page; it is not used up by looking."""
        ...

    def complete_setup(
        self,
        token: str,
        *,
        username: str,
        display_name: str,
        password: str,
        totp_secret: str,
        totp_code: str,
        source_ip: str,
        now: datetime,
    ) -> Account:
        """Create the first system administrator in the organisation ``city`` and use the token up.

        Raises:
            IdentityError: link.invalid, password.weak, totp.wrong, username.invalid, ...
        """
        ...

    # --- login and sessions ------------------------------------------------------------------------------------
    def login_password(
        self, username: str, password: str, totp_code: str, *, source_ip: str, device: str, now: datetime
    ) -> Login:
        """Try the three values of the one form.

        ``device``: the value of a long-lived cookie that holds at least 120 random bits (20 to 200 characters), ""
        when absent. It must be a secret: who knows it counts as the person's own device.
        """
        ...

    def login_certificate(self, certificate_der: bytes, *, source_ip: str, now: datetime) -> Login:
        """Log in whoever proved, in the TLS handshake, to hold the key of this certificate."""
        ...

    def session(self, token: str, now: datetime) -> Session | None:
        """Give the live session behind a cookie's value; ends it when over its limits, revoked or disabled."""
        ...

    def session_by_id(self, session_id: str, now: datetime) -> Session | None:
        """Give the live session with this id (for tokens that name it), under the same checks; not an activity."""
        ...

    def sessions(self, account_id: str, now: datetime) -> list[Session]:
        """List a person's sessions that are neither ended nor over their limits, newest first."""
        ...

    def logout(self, token: str, now: datetime) -> None:
        """End the session behind a cookie's value; nothing happens when there is none."""
        ...

    def end_session(self, session_id: str, *, reason: str, actor: Principal, now: datetime) -> int:
        """End one session (one's own, or with people.manage) and give 1; 0 when there is none that lives."""
        ...

    def end_sessions(self, account_id: str, *, reason: str, actor: Principal, now: datetime) -> int:
        """End every session of an account (one's own, or with people.manage) and give how many there were."""
        ...

    # --- people ------------------------------------------------------------------------------------------------
    def add_person(
        self,
        *,
        username: str,
        display_name: str,
        organization_id: str,
        roles: Iterable[Role],
        actor: Principal,
        now: datetime,
    ) -> Account:
        """Create an account without factors.

        Raises:
            IdentityError: permission.denied, username.taken, roles.conflict, roles.contractor, organization.unknown, ...
        """
        ...

    def invitation(self, account_id: str, *, actor: Principal, now: datetime) -> str:
        """Make a one-time link token, replacing the one before, with which the person sets password and TOTP."""
        ...

    def begin_invitation(self, token: str, now: datetime) -> Account | None:
        """Give the account a link token is for; None when used, expired, replaced or unknown."""
        ...

    def complete_invitation(
        self, token: str, *, password: str, totp_secret: str, totp_code: str, source_ip: str, now: datetime
    ) -> Account:
        """Set both factors and use the token up; sessions that were open end."""
        ...

    def set_roles(self, account_id: str, roles: Iterable[Role], *, actor: Principal, now: datetime) -> Account:
        """Replace an account's roles; never one's own. Its open sessions end, so that the change holds at once."""
        ...

    def disable(self, account_id: str, *, reason: str, actor: Principal, now: datetime) -> Account:
        """Disable an account and end its sessions; the last active system administrator is refused."""
        ...

    def enable(self, account_id: str, *, actor: Principal, now: datetime) -> Account:
        """Enable an account again."""
        ...

    def reset_factors(self, account_id: str, *, actor: Principal, now: datetime) -> Account:
        """Take password and TOTP away and end the sessions; the person needs a new invitation."""
        ...

    def people(self, *, actor: Principal, search: str = "", limit: int = 50, after: str = "") -> list[Account]:
        """List accounts that ``actor`` may read, by username; ``after`` is the last username of the page before."""
        ...

    def account(self, account_id: str) -> Account | None:
        """Give an account by id; the caller asks ``can()``."""
        ...

    def account_by_username(self, username: str) -> Account | None:
        """Give an account by username; the caller asks ``can()``."""
        ...

    # --- organisations -----------------------------------------------------------------------------------------
    def add_organization(
        self,
        *,
        id: str,  # noqa: A002 - the field's name
        name_zh: str,
        name_en: str,
        parent_id: str,
        kind: OrganizationKind,
        actor: Principal,
        now: datetime,
    ) -> Organization:
        """Add a node below ``parent_id``."""
        ...

    def organizations(self) -> list[Organization]:
        """Give the whole tree, parents before children."""
        ...

    def organization(self, organization_id: str) -> Organization | None:
        """Give one organisation."""
        ...

    def path(self, organization_id: str) -> tuple[str, ...]:
        """Give the ids from the root to the organisation; empty when there is no such organisation."""
        ...

    def visible_tenants(self, principal: Principal) -> frozenset[str] | None:
        """Give the tenants of the person's subtree; None means every tenant (he belongs to ``city``)."""
        ...

    # --- certificates ------------------------------------------------------------------------------------------
    def bind_certificate(
        self, account_id: str, serial_hex: str, fingerprint_sha256: str, *, actor: Principal, now: datetime
    ) -> None:
        """Let the certificate (SHA-256 over its DER, hex) log in as the account; needs certificates.issue."""
        ...

    def certificates(self, account_id: str) -> Sequence[str]:
        """Give the serials bound to an account, newest first."""
        ...

    def end_certificate_sessions(self, serial: str, *, reason: str, now: datetime) -> int:
        """End the sessions opened with a certificate (called on revocation) and give how many there were."""
        ...

    def sweep(self, now: datetime) -> int:
        """End sessions over their limits and drop what is no longer needed; called about once a minute."""
        ...
