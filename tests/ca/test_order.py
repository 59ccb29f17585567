"""vet -> record -> lint -> sign -> publish, also when the machine stops in the middle or the clock runs back."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from cryptography import x509

from ca.authority import Authority, CaError, Request, Subject
from ca.settings import Settings
from ca.tables import CaEvent, CertificateRecord, SignedCertificate
from secops.db import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ca.conftest import World

_DIE_WHILE_SIGNING = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from ca.authority import Authority, Request, Subject
from ca.settings import Settings
from secops.db import Database

class Dying:
    def __init__(self, signer): self.public_key = signer.public_key
    def certificate(self, builder): os.kill(os.getpid(), signal.SIGKILL)

now = datetime.now(UTC)
authority = Authority.open(Path(sys.argv[1]) / "ca", Database(f"sqlite:///{sys.argv[1]}/state.db"), Settings(), now=now)
authority._issuing_key = Dying(authority._issuing_key)
authority.issue_pkcs12(Request(profile="person", subject=Subject("王五", "信息中心", "a5")),
                       requested_by="requester", approved_by="approver", now=now)
"""


def test_a_crash_between_record_and_signature_leaves_something_to_revoke(world: World) -> None:
    done = subprocess.run([sys.executable, "-c", _DIE_WHILE_SIGNING, str(world.path)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    row = world.authority.find(account_id="a5", now=world.now)[0]
    assert row.state == "unsigned"
    assert world.authority.status(row.serial, world.now).state == "unknown"
    state = world.authority.revoke(row.serial, reason="unspecified", actor="officer", now=world.now)
    assert state.state == "revoked"
    crl = x509.load_der_x509_crl(world.authority.crl(world.now))
    assert crl.get_revoked_certificate_by_serial_number(int(row.serial, 16)) is not None


def test_what_was_recorded_is_what_was_signed(world: World) -> None:
    issued = world.person()
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    with world.database.read() as tx:
        record = tx.scalar(sa.select(CertificateRecord).where(CertificateRecord.serial == issued.serial))
        kinds = tx.scalars(sa.select(CaEvent.kind).where(CaEvent.serial == issued.serial).order_by(CaEvent.id)).all()
    assert record.tbs == certificate.tbs_certificate_bytes
    assert (record.requested_by, record.approved_by) == ("requester", "approver")
    assert kinds == ["recorded", "issued"]


def test_records_cannot_be_changed(world: World) -> None:
    world.person()
    for table in (CertificateRecord, SignedCertificate, CaEvent):
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), world.database.begin() as tx:
            tx.execute(sa.delete(table))


def test_a_clock_that_ran_back_refuses_to_issue(world: World) -> None:
    world.person()
    world.now -= timedelta(minutes=2)
    with pytest.raises(CaError, match="clock") as refused:
        world.person(account="a2")
    assert refused.value.code == "ca.clock"
    assert "时钟" in refused.value.zh
    world.now += timedelta(minutes=2)
    assert world.person(account="a2").serial


def test_small_steps_back_do_not_add_up(world: World) -> None:
    start = world.now
    for _ in range(2):
        world.now -= timedelta(seconds=40)
        if world.now >= start - timedelta(seconds=60):
            world.person(account="a3")
    with pytest.raises(CaError, match="clock"):
        world.person(account="a4")


def test_a_revocation_moves_the_newest_record_too(world: World) -> None:
    serial = world.person().serial
    world.authority.revoke(serial, reason="superseded", actor="officer", now=world.now + timedelta(hours=1))
    with pytest.raises(CaError, match="clock"):
        world.person(account="a2")


def test_threads_never_share_a_serial(world: World) -> None:
    serials: list[str] = []

    def work(number: int) -> None:
        serials.extend(world.person(account=f"t{number}-{n}").serial for n in range(8))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(serials)) == 32


def _issue_many(path: str, number: int) -> list[str]:
    now = datetime.now(UTC)
    database = Database(f"sqlite:///{path}/state.db")
    authority = Authority.open(Path(path) / "ca", database, Settings(), now=now)
    requests = [Request(profile="person", subject=Subject("赵六", "信息中心", f"p{number}-{n}")) for n in range(8)]
    issued = [authority.issue_pkcs12(r, requested_by="r", approved_by="a", now=now)[0].serial for r in requests]
    database.close()
    return issued


def test_processes_never_share_a_serial(world: World) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        serials = [s for part in pool.starmap(_issue_many, [(str(world.path), 1), (str(world.path), 2)]) for s in part]
        pool.close()
        pool.join()
    assert len(set(serials)) == 16
    assert {row.state for row in world.authority.find(search="赵六", limit=100, now=world.now)} == {"good"}


def test_the_database_refuses_a_serial_twice(world: World) -> None:
    serial = world.person().serial
    with world.database.read() as tx:
        values = dict(
            tx.execute(sa.select(CertificateRecord.__table__).where(CertificateRecord.serial == serial))
            .mappings()
            .one()
        )
    del values["id"]
    with pytest.raises(sa.exc.IntegrityError), world.database.begin() as tx:
        tx.execute(sa.insert(CertificateRecord).values(values))


def test_a_key_belongs_to_one_subject(world: World, make_csr: Callable[..., bytes]) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - one test makes a key itself

    csr = make_csr(ec.generate_private_key(ec.SECP256R1()))
    world.issue(Request(profile="person", subject=Subject("张三", "信息中心", "a1"), csr_pem=csr))
    assert world.issue(Request(profile="person", subject=Subject("张三", "信息中心", "a1"), csr_pem=csr)).serial
    with pytest.raises(CaError, match="another subject"):
        world.issue(Request(profile="person", subject=Subject("张三", "信息中心", "a2"), csr_pem=csr))
