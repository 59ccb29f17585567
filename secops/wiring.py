"""The composition root: what the service is put together of, and who handles which message.

A stage never imports another; what it needs of one arrives from here.
"""

from __future__ import annotations

import secrets
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ca.authority import Authority
from ca.settings import Settings as CaSettings
from identity.embedded import EmbeddedProvider
from identity.oidc.issuer import Issuer
from identity.oidc.settings import OidcSettings
from identity.provider import OrganizationKind
from identity.secretbox import AesGcmBox
from identity.settings import IdentitySettings
from secops import audit, migrations, outbox, private_file, status, uploads
from secops.alert import queries as alerts
from secops.alert.controls import Controls
from secops.alert.group import raise_for_buried
from secops.alert.rule_files import load_inhibitions, load_tactics, load_techniques, load_weights
from secops.db import Database
from secops.engines import open_index, open_log
from secops.errors import UserError
from secops.evidence import merkle
from secops.evidence.signature import doubt as signature_doubt
from secops.match.draft import read_draft
from secops.match.shelf import Shelf
from secops.notify.backchannel import tell
from secops.rule_source import (
    cache_dir,
    console_dir,
    content_dir,
    imported_dir,
    load_rules,
    rule_folders,
    rules_print,
)
from secops.settings import ROLES
from secops.store import retention_rules
from secops.store.checkpoints import Witness
from secops.store.keeper import Keeper
from secops.ticket import desk
from secops.ticket.calendar_file import load_calendar
from secops.ticket.policy import load_policy
from secops.ticket.services import load_catalogue
from secops.upload_files import Inbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sqlalchemy.orm import Session

    from ca.authority import CertificateState
    from secops.alert.attack import Tactic, Technique
    from secops.match.rule import Refusal, Rule, RuleSet
    from secops.settings import Settings
    from secops.store.index import Index
    from secops.store.kafka_group import Member
    from secops.store.log import Log
    from secops.store.retention import Retention
    from secops.ticket.calendar import Calendar
    from secops.ticket.policy import Policy
    from secops.ticket.services import Catalogue

SILENCE = timedelta(seconds=10)  # a role that reported nothing for so long is shown as down
BOX_KEY_BYTES = 32


def utcnow() -> datetime:
    """Give the wall clock; the one place where the service reads it."""
    return datetime.now(UTC)


@dataclass
class Service:
    """Everything a role, a page or a command works with; parts are opened when first used."""

    settings: Settings
    database: Database
    authority: Authority
    identity: EmbeddedProvider
    issuer: Issuer
    clock: Callable[[], datetime] = utcnow

    @cached_property
    def log(self) -> Log:
        """The event log, for reading."""
        return open_log(self.settings.log, self.log_dir)

    def writable_log(self, writer: str = "") -> Log:
        """Open the event log for writing: the ingest role alone; ``writer``: under that name, not this machine's own.

        Raises:
            LogBusy: another process writes it (the embedded one has one writer).
            UserError: Kafka does not answer, or its settings are wrong.
        """
        log = self.settings.log
        if writer:
            log = log.model_copy(update={"kafka": log.kafka.model_copy(update={"writer": writer})})
        return open_log(log, self.log_dir, writable=True)

    @property
    def uploads_dir(self) -> Path:
        """Where uploaded files lie until they are read."""
        return self.settings.state / uploads.FOLDER

    @property
    def inbox(self) -> Inbox:
        """Where people's files come in."""
        return Inbox(
            self.database,
            self.uploads_dir,
            self.settings.uploads,
            self.settings.log.reserve_bytes,
            self.machine,
            self.clock,
        )

    @property
    def shares_log(self) -> bool:
        """Whether several machines work on one log."""
        return self.settings.log.engine == "kafka"

    @property
    def machine(self) -> str:
        """This machine's name among those that share the log."""
        return self.settings.log.kafka.writer or socket.gethostname()

    def partition_member(self, group: str) -> Member | None:
        """What shares the partitions among the processes of ``group``; None where one process has them all."""
        if not self.shares_log or self.settings.index.engine == "sqlite":  # each machine fills an index of its own
            return None
        from secops.store.kafka_group import Member  # noqa: PLC0415 - its client is an extra
        from secops.store.kafka_open import place_of  # noqa: PLC0415 - likewise

        return Member(place_of(self.settings.log), group)

    def keeper(self) -> Keeper:
        """What seals and expires the embedded log's segments; the jobs role's, and the command line's."""
        return Keeper(self.log_dir, self.witness(), clock=self.clock, reserve_bytes=self.settings.log.reserve_bytes)

    def witness(self) -> Witness:
        """Who signs the event log's checkpoints, and how they are verified."""
        root = self.authority.root_fingerprint()
        return Witness(
            root=lambda leaves: merkle.tree_hash([merkle.leaf_hash(leaf) for leaf in leaves]),
            sign=lambda data: self.authority.sign_manifest(data, self.clock()),
            doubt=lambda data, signature, chain, at: signature_doubt(data, signature, chain, at, root=root),
        )

    def keep_topic(self, days: int) -> bool:
        """Have Kafka keep events for ``days`` at least; whether its topic had to be changed for it.

        Raises:
            UserError: it cannot be changed, or Kafka does not answer.
        """
        from secops.store.kafka_open import place_of  # noqa: PLC0415 - its client is an extra
        from secops.store.kafka_topics import keep_at_least  # noqa: PLC0415 - likewise

        return keep_at_least(place_of(self.settings.log), days)

    def retention(self) -> Retention:
        """How long each tenant's events are kept."""
        with self.database.read() as tx:
            return retention_rules.retention(tx, self.settings.log.retention_days)

    @cached_property
    def index(self) -> Index:
        """The search index, for reading."""
        return open_index(self.settings, self.index_dir, self.log, writable=False)

    def writable_index(self) -> Index:
        """Open the search index for writing: the index role alone."""
        return open_index(self.settings, self.index_dir, self.log, writable=True)

    @cached_property
    def _shelf(self) -> Shelf:
        return Shelf(self.load_rules, lambda: rules_print(self.settings), time.monotonic)

    @property
    def rules(self) -> RuleSet:
        """The rules as the folders held them a moment ago; a change shows within seconds."""
        return self._shelf.rules

    def refresh_rules(self) -> None:
        """Read the folders anew now: somebody has just changed a rule here."""
        self._shelf.refresh()

    def load_rules(self) -> RuleSet:
        """The rules as the folders hold them now; see ``load_rules``."""
        return load_rules(self.settings)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The purchased services."""
        return load_catalogue([content_dir() / "rules" / "services"])

    @cached_property
    def policy(self) -> Policy:
        """Which alert becomes which ticket."""
        return load_policy([content_dir() / "rules" / "ticket"], self.catalogue)

    @cached_property
    def calendar(self) -> Calendar:
        """The working calendar."""
        return load_calendar([content_dir() / "rules" / "calendar"])

    @cached_property
    def alert_controls(self) -> Controls:
        """What decides about new alerts: inhibitions, weights of assets and tenants, when a rule makes a storm."""
        return load_alert_controls(self.settings)

    @cached_property
    def tactics(self) -> tuple[Tactic, ...]:
        """The tactics of MITRE ATT&CK."""
        return load_tactics(content_dir() / "rules" / "alert" / "attack.yaml")

    @cached_property
    def techniques(self) -> dict[str, Technique]:
        """What techniques of MITRE ATT&CK are called, by id."""
        return load_techniques(content_dir() / "rules" / "alert" / "techniques.yaml")

    def rule_folders(self) -> tuple[Path, ...]:
        """Where detection rules lie: the product's own, the state folder's, and those in the settings."""
        return rule_folders(self.settings)

    @property
    def cache_dir(self) -> Path:
        """Rules as understood and compiled; may be deleted at any time."""
        return cache_dir(self.settings)

    @property
    def imported_dir(self) -> Path:
        """Folders of rules that were imported, each under its name."""
        return imported_dir(self.settings)

    @property
    def console_rules_dir(self) -> Path:
        """Rules written in the console that are in force."""
        return console_dir(self.settings)

    def read_draft(self, text: str) -> tuple[Rule | None, tuple[Refusal, ...]]:
        """A rule as somebody is writing it in the console, against the rules that run; or None and why it cannot run."""
        return read_draft(
            text,
            self.rules.rules,
            folder=self.console_rules_dir,
            placeholders=self.settings.detect.placeholders,
        )

    @property
    def parsers_dir(self) -> Path:
        """Parsers that tenants wrote, a folder each."""
        return self.settings.state / "parsers"

    @property
    def run_dir(self) -> Path:
        """What running roles say of themselves."""
        return self.settings.state / "run"

    @property
    def log_dir(self) -> Path:
        """The event log's segments."""
        return self.settings.state / "log"

    @property
    def index_dir(self) -> Path:
        """The search index's files."""
        return self.settings.state / "index"

    @property
    def ca_dir(self) -> Path:
        """The certificate authority's files."""
        return self.settings.state / "ca"

    @property
    def evidence_dir(self) -> Path:
        """Packs built from the console."""
        return self.settings.state / "evidence"

    @property
    def content_dir(self) -> Path:
        """Rules, runbooks and dashboards."""
        return content_dir()

    def check_assignee(self, organization_id: str) -> None:
        """Refuse to give a ticket to somebody who is no contractor: nobody would see it while its clock runs.

        Raises:
            UserError: there is no such organisation, or it is not a contractor.
        """
        found = self.identity.organization(organization_id)
        if found is None or found.kind is not OrganizationKind.CONTRACTOR:
            raise UserError(
                "ticket.assignee",
                f"没有名为 {organization_id[:40]!r} 的服务商单位；请先在“人员”页添加，或用 secops person organization 添加。",
                f"there is no contractor organisation {organization_id[:40]!r}; add it on the People page or with secops person organization.",
            )

    def status(self) -> dict[str, Any]:
        """What the overview shows: roles, disk, rules, collectors, the root key's whereabouts."""
        now = self.clock()
        roles = [status.read(self.run_dir, role, now, SILENCE) for role in ROLES]
        said = {role.role: role.detail for role in roles}
        disk = status.disk(self.settings.state, self.settings.log.reserve_bytes)
        return {
            "roles": roles,
            "disk": disk,
            "accepting": disk.accepting and bool(said["ingest"].get("accepting", True)),
            "ingest": said["ingest"],
            "detect": said["detect"],
            "index": said["index"],
            "root_key_here": (self.ca_dir / "offline" / "root.key").exists(),
        }

    def handlers(self) -> Mapping[type, list[outbox.Handler]]:
        """Who handles which outbox message, in the transaction that marks it done."""
        return {outbox.Raised: [self._open_ticket], outbox.Buried: [raise_for_buried], outbox.SessionEnded: []}

    def effects(self) -> Mapping[type, list[outbox.Effect]]:
        """Who reaches outside for which outbox message, before that transaction."""
        return {outbox.SessionEnded: [self._tell_relying_parties]}

    def _open_ticket(self, tx: Session, message: outbox.Raised, now: datetime) -> None:
        desk.open_for_alert(tx, alerts.get(tx, message.alert_id), self.policy, now)

    def _tell_relying_parties(self, message: outbox.SessionEnded, now: datetime) -> None:
        with self.database.begin() as tx:
            notes = self.issuer.notifications(tx, message.session_id, now)
            self.issuer.end_grants(tx, message.session_id, now)
        tell(notes, trust=self.authority.root_pem())

    def close(self) -> None:
        """Close what was opened."""
        for part in ("index", "log"):
            if part in self.__dict__:
                self.__dict__[part].close()
        self.database.close()


def load_alert_controls(settings: Settings) -> Controls:
    """What decides about new alerts, from its files.

    Raises:
        UserError: ``alert.file``: the text names file, line and reason.
    """
    own, said = content_dir() / "rules" / "alert", settings.alerts
    return Controls(
        inhibitions=load_inhibitions(said.inhibition_file or own / "inhibition.yaml"),
        weights=load_weights(said.severity_file or own / "severity.yaml"),
        storm_alerts=said.storm_per_hour,
    )


def prepare(settings: Settings) -> None:
    """Make the state folder what this version needs: folders, secret key, schema, certificate authority. Repeatable."""
    load_alert_controls(settings)  # a file that cannot be read stops the start, not the detection afterwards
    state = settings.state
    for folder in (
        state,
        *(state / name for name in ("run", "log", "index", "ca", "evidence", "secrets", "rules", "tls")),
    ):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _box_key(state)
    _close_to_others(settings)
    database = Database(settings.url)
    try:
        migrations.upgrade(database)
        if not Authority.exists(state / "ca"):
            Authority.initialise(state / "ca", database, ca_settings(settings), now=utcnow())
    finally:
        database.close()


def _close_to_others(settings: Settings) -> None:
    """The state database is its owner's alone, also in a folder that others can look into; its journals take its mode."""
    if settings.database_url:
        return
    (settings.state / "state.db").touch(mode=0o600)
    for file in settings.state.glob("state.db*"):
        file.chmod(0o600)


@contextmanager
def opened(settings: Settings) -> Iterator[Service]:
    """Open the service and close it at the end; the state must have been prepared."""
    service = open_service(settings)
    try:
        yield service
    finally:
        service.close()


def open_service(settings: Settings, clock: Callable[[], datetime] = utcnow) -> Service:
    """Put the parts together over a prepared state folder."""
    database = Database(settings.url)
    box = AesGcmBox(_box_key(settings.state))
    authority = Authority.open(settings.state / "ca", database, ca_settings(settings), now=clock())
    identity = EmbeddedProvider(
        database,
        IdentitySettings(),
        audit=audit.record,
        certificate_status=lambda serial, now: _state(authority.status(serial, now)),
        box=box,
        on_session_end=_session_ended,
    )
    issuer = Issuer(
        OidcSettings(issuer=settings.issuer),
        database,
        box,
        session=identity.session_by_id,
        audit=audit.record,
    )
    return Service(settings, database, authority, identity, issuer, clock)


def ca_settings(settings: Settings) -> CaSettings:
    """What the certificate authority is told of this installation."""
    return CaSettings(base_url=f"http://{settings.web.public_host}:{settings.web.pki_port}/pki")


def _state(found: CertificateState) -> str:
    return found.state


def _session_ended(tx: Session, session_id: str, account_id: str, now: datetime) -> None:
    outbox.publish(tx, outbox.SessionEnded(session_id=session_id, account_id=account_id), now)


def _box_key(state: Path) -> bytes:
    """Read the key that seals second factors and signing keys in the database, or make it: 0600, beside the database."""
    path = state / "secrets" / "box.key"
    try:
        with private_file.create(path) as file:
            file.write(secrets.token_bytes(BOX_KEY_BYTES))
    except FileExistsError:
        pass
    return path.read_bytes()
