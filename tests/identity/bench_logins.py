"""Measure logins and session lookups: ``taskset -c 0 python -m tests.identity.bench_logins``.

One core, SQLite on disk with full synchronisation, the default argon2id parameters, the audit trail in the same
transaction. Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from identity import tables, totp
from identity.settings import IdentitySettings
from secops.db import Base, Database, create_all
from tests.identity.world import OPERATOR, Person, World, client_certificate, der, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PEOPLE = 150


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/state.db")
        create_all(database, [Base.metadata, tables.Base.metadata])
        try:
            figures = measure(World(database, IdentitySettings()))
        finally:
            database.close()
    sys.stdout.write(json.dumps(figures) + "\n")


def measure(world: World) -> dict[str, float]:
    people = [world.person(f"user{number}") for number in range(PEOPLE)]
    certificates = [bound(world, person) for person in people]
    world.after(seconds=30)
    codes = [totp.code_at(person.secret, world.now) for person in people]
    tokens: list[str] = []

    def password_login(number: int) -> None:
        login = world.try_login(
            people[number].account.username, people[number].password, codes[number], ip=f"10.0.{number}.1"
        )
        assert login.session is not None

    def certificate_login(number: int) -> None:
        login = world.provider.login_certificate(certificates[number], source_ip="10.0.0.1", now=world.now)
        assert login.session is not None
        tokens.append(login.session.token)

    def lookup(number: int) -> None:
        assert world.provider.session(tokens[number], world.now) is not None

    return {
        "password_logins_per_second": rate(password_login, range(PEOPLE)),
        "certificate_logins_per_second": rate(certificate_login, range(PEOPLE)),
        "certificate_session_lookups_per_second": rate(lookup, [number % PEOPLE for number in range(2000)]),
        "argon2id_hashes_per_second": rate(lambda _: hash_once(world), range(50)),
    }


def hash_once(world: World) -> None:
    world.provider._env.hasher.verify("", "not the password")


def bound(world: World, person: Person) -> bytes:
    certificate = client_certificate()
    serial = f"{certificate.serial_number:x}"
    world.certificates[serial] = "good"
    world.provider.bind_certificate(person.id, serial, fingerprint(certificate), actor=OPERATOR, now=world.now)
    return der(certificate)


def rate(work: Callable[[int], None], numbers: Sequence[int]) -> float:
    start = time.perf_counter()
    for number in numbers:
        work(number)
    return round(len(numbers) / (time.perf_counter() - start), 1)


if __name__ == "__main__":
    main()
