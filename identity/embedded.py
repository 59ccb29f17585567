from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import sqlalchemy as sa

from identity import accounts, certificates, links, login, organizations, people, places, sessions
from identity.environment import Environment, token_hash
from identity.names import login_name
from identity.passwords import PasswordHasher
from identity.principal import CITY, Permission, Principal, Resource, Role
from identity.provider import IdentityError, Organization, OrganizationKind
from identity.tables import AccountRow, LinkRow, OrganizationRow, SessionRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from identity.provider import (
        Account,
        Audit,
        CertificateStatus,
        IdentityProvider,
        Login,
        OnSessionEnd,
        Random,
        Session,
        Transactions,
    )
    from identity.secretbox import SecretBox
    from identity.settings import IdentitySettings

_SWEEP_MAXIMUM = 500  # sessions ended in one go


class EmbeddedProvider:
    """The identity provider that comes with the service, over the state database; safe to share between threads.

    The contract of every method is in ``identity.provider.IdentityProvider``; here each opens its transaction and
    leaves the rest to the module that knows.
    """

    def __init__(
        self,
        database: Transactions,
        settings: IdentitySettings,
        *,
        audit: Audit,
        certificate_status: CertificateStatus,
        box: SecretBox,
        on_session_end: OnSessionEnd,
        random: Random = secrets.token_bytes,
    ) -> None:
        self._database = database
        self._env = Environment(
            database=database,
            settings=settings,
            hasher=PasswordHasher(settings, random),
            box=box,
            audit=audit,
            certificate_status=certificate_status,
            on_session_end=on_session_end,
            random=random,
        )

    # --- the first administrator -------------------------------------------------------------------------------
    def setup_token(self, now: datetime) -> str | None:
        """Make the one-time set-up secret; None once set up."""
        with self._database.begin() as tx:
            return links.setup_token(tx, self._env, now)

    def begin_setup(self, token: str, now: datetime) -> bool:
        """Tell whether the token opens the set-up page."""
        with self._database.read() as tx:
            return links.is_setup_link(tx, token, now)

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
        """Create the first system administrator."""
        person = people.NewPerson(username, display_name, CITY, frozenset({Role.SYSTEM_ADMIN}))
        factors = links.Factors(password, totp_secret, totp_code)
        return links.complete_setup(self._env, token, person, factors, source_ip=source_ip, now=now)

    # --- login and sessions ------------------------------------------------------------------------------------
    def login_password(
        self, username: str, password: str, totp_code: str, *, source_ip: str, device: str, now: datetime
    ) -> Login:
        """Try the three values of the one form."""
        form = login.Form(username, password, totp_code, source_ip, device)
        return login.login_password(self._env, form, now)

    def login_certificate(self, certificate_der: bytes, *, source_ip: str, now: datetime) -> Login:
        """Log in the holder of a certificate."""
        return certificates.login_certificate(self._env, certificate_der, source_ip=source_ip, now=now)

    def session(self, token: str, now: datetime) -> Session | None:
        """Give the live session behind a cookie's value."""
        hashed = token_hash(token)
        if not hashed:
            return None
        return sessions.look_up(self._env, SessionRow.token_hash == hashed, now, activity=True)

    def session_by_id(self, session_id: str, now: datetime) -> Session | None:
        """Give the live session with this id."""
        return sessions.look_up(self._env, SessionRow.id == session_id[:32], now, activity=False)

    def sessions(self, account_id: str, now: datetime) -> list[Session]:
        """List an account's live sessions."""
        with self._database.read() as tx:
            return sessions.live_of(tx, account_id, self._env.settings, now)

    def logout(self, token: str, now: datetime) -> None:
        """End the session behind a cookie's value."""
        if hashed := token_hash(token):
            wanted = SessionRow.token_hash == hashed
            sessions.end(self._env, wanted, reason=sessions.End.LOGOUT, actor="", now=now)

    def end_session(self, session_id: str, *, reason: str, actor: Principal, now: datetime) -> int:
        """End one session (one's own, or with people.manage); 0 when it had ended already."""
        with self._database.begin() as tx:
            row = tx.get(SessionRow, session_id[:32])
            if row is None:
                return 0
            self._may_end(row.account, actor)
            wanted = SessionRow.id == row.id
            return sessions.end_in(tx, self._env, wanted, reason=reason, actor=actor.username, now=now)

    def end_sessions(self, account_id: str, *, reason: str, actor: Principal, now: datetime) -> int:
        """End every session of an account."""
        with self._database.begin() as tx:
            row = accounts.locked(tx, account_id)
            if row is None:
                raise IdentityError("account.unknown", "没有这个账号", "There is no such account")
            self._may_end(row, actor)
            wanted = SessionRow.account_id == row.id
            return sessions.end_in(tx, self._env, wanted, reason=reason, actor=actor.username, now=now)

    def end_certificate_sessions(self, serial: str, *, reason: str, now: datetime) -> int:
        """End the sessions opened with a certificate."""
        wanted = SessionRow.certificate_serial == serial
        return sessions.end(self._env, wanted, reason=reason, actor="", now=now)

    def _may_end(self, row: AccountRow, actor: Principal) -> None:
        if row.id != actor.account_id:
            accounts.require(actor, Permission.PEOPLE_MANAGE, Resource(organization_path=accounts.path_of(row)))

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
        """Create an account without factors."""
        person = people.NewPerson(username, display_name, organization_id, frozenset(roles))
        with self._database.begin() as tx:
            return people.add(tx, self._env, person, actor, now)

    def invitation(self, account_id: str, *, actor: Principal, now: datetime) -> str:
        """Make a one-time link token."""
        with self._database.begin() as tx:
            return links.invite(tx, self._env, account_id, actor, now)

    def begin_invitation(self, token: str, now: datetime) -> Account | None:
        """Give the account a link token is for."""
        with self._database.read() as tx:
            row = links.invited(tx, token, now)
            return accounts.account_of(row) if row is not None else None

    def complete_invitation(
        self, token: str, *, password: str, totp_secret: str, totp_code: str, source_ip: str, now: datetime
    ) -> Account:
        """Set both factors."""
        factors = links.Factors(password, totp_secret, totp_code)
        return links.complete_invitation(self._env, token, factors, source_ip=source_ip, now=now)

    def set_roles(self, account_id: str, roles: Iterable[Role], *, actor: Principal, now: datetime) -> Account:
        """Replace an account's roles."""
        with self._database.begin() as tx:
            return people.set_roles(tx, self._env, account_id, roles, actor=actor, now=now)

    def disable(self, account_id: str, *, reason: str, actor: Principal, now: datetime) -> Account:
        """Disable an account and end its sessions."""
        with self._database.begin() as tx:
            return people.disable(tx, self._env, account_id, reason=reason, actor=actor, now=now)

    def enable(self, account_id: str, *, actor: Principal, now: datetime) -> Account:
        """Enable an account again."""
        with self._database.begin() as tx:
            return people.enable(tx, self._env, account_id, actor, now)

    def reset_factors(self, account_id: str, *, actor: Principal, now: datetime) -> Account:
        """Take password and TOTP away."""
        with self._database.begin() as tx:
            return people.reset_factors(tx, self._env, account_id, actor, now)

    def people(self, *, actor: Principal, search: str = "", limit: int = 50, after: str = "") -> list[Account]:
        """List accounts by username."""
        with self._database.read() as tx:
            return people.page(tx, actor, search, limit, after)

    def account(self, account_id: str) -> Account | None:
        """Give an account by id."""
        with self._database.read() as tx:
            row = tx.get(AccountRow, account_id[:32])
            return accounts.account_of(row) if row is not None else None

    def account_by_username(self, username: str) -> Account | None:
        """Give an account by username."""
        with self._database.read() as tx:
            row = accounts.by_username(tx, login_name(username))
            return accounts.account_of(row) if row is not None else None

    # --- organisations -----------------------------------------------------------------------------------------
    def add_organization(
        self,
        *,
        id: str,  # noqa: A002 - the field's name in the contract
        name_zh: str,
        name_en: str,
        parent_id: str,
        kind: OrganizationKind,
        actor: Principal,
        now: datetime,
    ) -> Organization:
        """Add a node below ``parent_id``."""
        new = Organization(id=id, name_zh=name_zh, name_en=name_en, parent_id=parent_id, kind=kind, path=())
        with self._database.begin() as tx:
            return organizations.add(tx, self._env, new, actor, now)

    def organizations(self) -> list[Organization]:
        """Give the whole tree, parents before children."""
        with self._database.read() as tx:
            return organizations.every(tx)

    def organization(self, organization_id: str) -> Organization | None:
        """Give one organisation."""
        with self._database.read() as tx:
            row = tx.get(OrganizationRow, organization_id[:40])
            return organizations.organization_of(row) if row is not None else None

    def path(self, organization_id: str) -> tuple[str, ...]:
        """Give the ids from the root to the organisation."""
        found = self.organization(organization_id)
        return found.path if found is not None else ()

    def visible_tenants(self, principal: Principal) -> frozenset[str] | None:
        """Give the tenants of the person's subtree; None means every tenant."""
        if principal.organization_path == (CITY,):
            return None
        with self._database.read() as tx:
            return organizations.subtree(tx, principal.organization_path)

    # --- certificates ------------------------------------------------------------------------------------------
    def bind_certificate(
        self, account_id: str, serial_hex: str, fingerprint_sha256: str, *, actor: Principal, now: datetime
    ) -> None:
        """Let the certificate log in as the account."""
        with self._database.begin() as tx:
            certificates.bind(tx, self._env, account_id, serial_hex, fingerprint_sha256, actor=actor, now=now)

    def certificates(self, account_id: str) -> Sequence[str]:
        """Give the serials bound to an account."""
        with self._database.read() as tx:
            return certificates.serials_of(tx, account_id)

    # --- housekeeping ------------------------------------------------------------------------------------------
    def sweep(self, now: datetime) -> int:
        """End sessions over their limits (so that relying parties hear of it), drop what is no longer needed.

        The jobs role calls this once a minute. Gives how many sessions ended.
        """
        settings = self._env.settings
        with self._database.read() as tx:
            overdue = sa.select(SessionRow.id).where(SessionRow.ended_at.is_(None), sessions.overdue(settings, now))
            ids = tx.scalars(overdue.limit(_SWEEP_MAXIMUM)).all()
        with self._database.begin() as tx:
            chosen = sa.and_(SessionRow.id.in_(ids), sessions.overdue(settings, now))
            ended = sessions.end_in(tx, self._env, chosen, reason=sessions.End.IDLE, actor="", now=now)
            tx.execute(sa.delete(LinkRow).where(LinkRow.expires_at <= now))
            tx.execute(sa.delete(SessionRow).where(SessionRow.ended_at <= now - settings.session_history))
            places.sweep(tx, settings, now)
            return ended


if TYPE_CHECKING:
    _CONFORMS: type[IdentityProvider] = EmbeddedProvider  # the type checker holds the class against the contract
