"""A whole service in a temporary folder, served over TLS on real sockets, with people in every role."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyotp

from ca.authority import Issued, Request, Subject
from identity.principal import Principal, Role
from identity.provider import OrganizationKind
from monitors.record import Record
from secops import outbox, pipeline, serving, wiring
from secops.alert.group import raise_alerts
from secops.app import create_app, create_certificate_app, create_pki_app
from secops.console.charts import SHANGHAI
from secops.records import EVENT_ID, Alert, Level, Match, RuleInfo
from secops.settings import Settings, Web
from secops.store.index import Query

STEP = 30  # seconds of a one-time code
PASSWORD = "a long sentence for tests 42"
RULE = RuleInfo(
    id="test-ssh-brute-force",
    title="Many failed ssh logins",
    title_zh="SSH 暴力破解",
    level=Level.HIGH,
    tags=("attack.t1110",),
    clauses=("8.1.4.1-b",),
    runbook="ssh-brute-force.md",
    group_by=("source.ip",),
)
FAILED = "<38>{at:%b %d %H:%M:%S} {host} sshd[4242]: Failed password for invalid user {user} from {ip} port 40022 ssh2"
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@dataclass
class Clock:
    """The wall clock, moved forward by the tests."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, **by: float) -> None:
        self.ahead += timedelta(**by)


@dataclass
class Person:
    username: str
    account_id: str
    totp_secret: str
    used_step: int = 0


@dataclass
class World:
    """The service, its clock, its people."""

    service: wiring.Service
    clock: Clock
    people: dict[str, Person] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    stop: asyncio.Event | None = None
    loop: asyncio.AbstractEventLoop | None = None
    thread: threading.Thread | None = None
    failure: BaseException | None = None

    @property
    def origin(self) -> str:
        return self.service.settings.issuer

    @property
    def certificate_origin(self) -> str:
        return self.service.settings.certificate_origin

    @property
    def pki_origin(self) -> str:
        return f"http://localhost:{self.service.settings.web.pki_port}"

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.service.authority.root_pem().decode())

    def client(self, username: str = "", lang: str = "zh", tls: ssl.SSLContext | None = None) -> httpx.Client:
        """A browser's worth of client: keeps cookies, says where its forms come from, follows no redirect."""
        client = httpx.Client(
            base_url=self.origin, verify=tls or self.tls(), headers={"accept": "text/html"}, timeout=30, trust_env=False
        )
        client.cookies.set("__Host-secops-lang", lang, domain="localhost.local")
        if username:
            client.cookies.set("__Host-secops", self.session(username), domain="localhost.local")
        return client

    def session(self, username: str) -> str:
        """A session token of the person; the same one while it lives."""
        token = self.sessions.get(username, "")
        if not token or self.service.identity.session(token, self.clock()) is None:
            token = self.sessions[username] = self.log_in(username)
        return token

    def code(self, username: str) -> str:
        """A one-time code that has not been used; time goes on by a step only when it must."""
        person = self.people[username]
        if self._step() <= person.used_step:
            self.clock.forward(seconds=STEP * (person.used_step + 1 - self._step()))
        person.used_step = self._step()
        return pyotp.TOTP(person.totp_secret).at(self.clock())

    def _step(self) -> int:
        return int(self.clock().timestamp()) // STEP

    def log_in(self, username: str) -> str:
        outcome = self.service.identity.login_password(
            username, PASSWORD, self.code(username), source_ip="127.0.0.1", device="", now=self.clock()
        )
        assert outcome.session is not None, outcome.reason_en
        return outcome.session.token

    def principal(self, username: str) -> Principal:
        session = self.service.identity.session(self.session(username), self.clock())
        assert session is not None
        return session.principal

    def add(self, username: str, *roles: Role, organization: str = "city") -> Person:
        """Somebody with a password and a one-time code, made by the first administrator."""
        identity, now = self.service.identity, self.clock()
        admin = self.principal("admin")
        account = identity.add_person(
            username=username,
            display_name=f"{username} 同志",
            organization_id=organization,
            roles=roles,
            actor=admin,
            now=now,
        )
        token, secret = identity.invitation(account.id, actor=admin, now=now), pyotp.random_base32(32)
        self.people[username] = Person(username, account.id, secret)
        identity.complete_invitation(
            token,
            password=PASSWORD,
            totp_secret=secret,
            totp_code=self.code(username),
            source_ip="127.0.0.1",
            now=self.clock(),
        )
        return self.people[username]

    def set_up(self) -> None:
        """The first administrator and one person for every other role."""
        identity, secret = self.service.identity, pyotp.random_base32(32)
        token = identity.setup_token(self.clock())
        assert token is not None
        account = identity.complete_setup(
            token,
            username="admin",
            display_name="管理员",
            password=PASSWORD,
            totp_secret=secret,
            totp_code=pyotp.TOTP(secret).at(self.clock()),
            source_ip="127.0.0.1",
            now=self.clock(),
        )
        self.people["admin"] = Person("admin", account.id, secret, self._step())
        admin = self.principal("admin")
        for short, kind, name in (
            ("fixers", OrganizationKind.CONTRACTOR, "运维公司"),
            ("others", OrganizationKind.CONTRACTOR, "另一家公司"),
            ("north", OrganizationKind.COUNTY, "北县"),
        ):
            identity.add_organization(
                id=short, name_zh=name, name_en=short, parent_id="city", kind=kind, actor=admin, now=self.clock()
            )
        self.add("keeper", Role.SECURITY_ADMIN)
        self.add("auditor", Role.AUDIT_ADMIN)
        self.add("officer", Role.SECURITY_OFFICER)
        self.add("inspector", Role.INSPECTOR)
        self.add("servant", Role.CIVIL_SERVANT)
        self.add("fixer", Role.CONTRACTOR, organization="fixers")
        self.add("rival", Role.CONTRACTOR, organization="others")
        self.add("county", Role.SECURITY_OFFICER, organization="north")

    def ingest(self, *raws: str | bytes, tenant: str = "city", error: str = "") -> None:
        """Messages on the wire become durable, indexed events."""
        records = [
            Record(
                raw=raw.encode() if isinstance(raw, str) else raw,
                received=self.clock(),
                collector="syslog",
                peer="127.0.0.1:5514",
                tenant=tenant,
                format="syslog",
                error=error,
            )
            for raw in raws
        ]
        log, index = self.service.writable_log(), self.service.writable_index()
        try:
            pipeline.ingest(records, log, SHANGHAI)
            for partition in range(log.partitions):
                while pipeline.index_next(log, index, partition, 1000):
                    pass
        finally:
            index.close()
            log.close()

    def brute_force(self, ip: str, tenant: str = "city", host: str = "web-01", level: Level = Level.HIGH) -> Alert:
        """Five failed logins, the alert they raise, and the ticket the policy opens."""
        now = self.clock().astimezone(SHANGHAI)  # BSD stamps have no zone; the parser takes them for local time
        self.ingest(*(FAILED.format(at=now, host=host, user=f"user{i}", ip=ip) for i in range(5)), tenant=tenant)
        hits = self.service.index.search(Query(text=f'source.ip:"{ip}"', tenants=None, limit=5)).hits
        assert len(hits) == 5
        rule = RuleInfo(**{name: getattr(RULE, name) for name in RULE.__slots__} | {"level": level})
        match = Match(
            tenant=tenant,
            rule_id=rule.id,
            at=self.clock(),
            event_ids=tuple(hit[EVENT_ID] for hit in hits),
            group=(("source.ip", ip),),
            count=5,
        )
        with self.service.database.begin() as tx:
            (alert,) = raise_alerts(tx, [match], {rule.id: rule}, self.clock())
        while outbox.drain(self.service.database, self.service.handlers(), self.clock):
            pass
        return alert

    def pkcs12(self, username: str) -> tuple[Issued, bytes, str]:
        """A certificate for the person, bound to the account."""
        assert self.clock.ahead < timedelta(minutes=4), (
            "TLS checks validity by the real clock; certificates are backdated by five"
        )
        admin = self.principal("admin")
        person = self.people[username]
        issued, file, password = self.service.authority.issue_pkcs12(
            Request(profile="person", subject=Subject(f"{username} 同志", "市政府", person.account_id)),
            requested_by=username,
            approved_by="admin",
            now=self.clock(),
        )
        self.service.identity.bind_certificate(
            person.account_id, issued.serial, issued.fingerprint_sha256, actor=admin, now=self.clock()
        )
        return issued, file, password

    def start(self) -> None:
        """Serve on the three ports."""
        ready = threading.Event()
        self.thread = threading.Thread(target=self._serve, args=(ready,), name="web")
        self.thread.start()
        assert ready.wait(30)

    def _serve(self, ready: threading.Event) -> None:
        async def serve() -> None:
            self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
            web = self.service.settings.web
            listeners = [
                serving.Listener(serving.bind("127.0.0.1", web.port), create_app(self.service)),
                serving.Listener(
                    serving.bind("127.0.0.1", web.certificate_port),
                    create_certificate_app(self.service),
                    client_authorities=self.service.authority.chain_pem().decode(),
                ),
                serving.Listener(serving.bind("127.0.0.1", web.pki_port), create_pki_app(self.service), plain=True),
            ]
            ready.set()
            await serving.serve(listeners, self._credentials, self.stop)

        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the test that ends the world
            self.failure = error

    def _credentials(self) -> serving.Credentials:
        web = self.service.settings.web
        folder = self.service.settings.state / "tls" / "web"
        return serving.Credentials(
            *self.service.authority.server_credentials(web.dns_names, web.ip_addresses, folder, self.clock())
        )

    def end(self) -> None:
        if self.loop is not None and self.stop is not None:
            self.loop.call_soon_threadsafe(self.stop.set)
        if self.thread is not None:
            self.thread.join(30)
        self.service.close()
        if self.failure is not None:
            raise self.failure


def make_world(state: Path, **sections: Any) -> World:
    """A prepared service with its own ports and, beside them, these sections of settings; not yet serving."""
    ports = free_ports(3)
    web = Web(port=ports[0], certificate_port=ports[1], pki_port=ports[2])
    settings = Settings(state=state, web=web, _env_file=None, **sections)  # type: ignore[call-arg]
    wiring.prepare(settings)
    clock = Clock()
    return World(wiring.open_service(settings, clock), clock)


def free_ports(number: int) -> list[int]:
    """Different TCP ports that nobody listens on now."""
    probes = [socket.socket() for _ in range(number)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def form_token(page: httpx.Response) -> str:
    """The form token of a page."""
    found = TOKEN.search(page.text)
    assert found is not None, page.text[:2000]
    return found[1]


def send(client: httpx.Client, page: str, target: str, **fields: Any) -> httpx.Response:
    """Load a page, then send a form of it as a browser would."""
    token = form_token(client.get(page))
    origin = f"{client.base_url.scheme}://{client.base_url.netloc.decode()}"
    return client.post(target, data={"form_token": token, **fields}, headers={"origin": origin})


def open_page(client: httpx.Client, path: str, within: float) -> httpx.Response:
    """A page that opens ``within`` seconds; on a machine that is busy with other tests the best of three tries counts."""
    for _ in range(3):
        begun = time.monotonic()
        page = client.get(path)
        assert page.status_code == 200, f"{path}: {page.text[:300]}"
        if time.monotonic() - begun < within:
            return page
    raise AssertionError(f"{path} took longer than {within} s three times")
