"""Logins a second: password with TOTP (argon2id at its default cost), and the look-up that every request makes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pyotp

from identity.principal import CITY, Principal, Role
from secops.bench.figures import Figure, stopwatch
from secops.bench.throwaway import installation

if TYPE_CHECKING:
    from secops.wiring import Service

PEOPLE: Final = 60
LOOKUPS: Final = 3000
PASSWORD: Final = "correct-horse-battery-Staple-9"  # noqa: S105 - of people who exist for a second
OPERATOR: Final = Principal(
    account_id="bench",
    username="bench",
    organization_id=CITY,
    organization_path=(CITY,),
    roles=frozenset({Role.SYSTEM_ADMIN}),
)


def measure() -> list[Figure]:
    """Log in everybody once, then look sessions up."""
    with installation() as service:
        now = service.clock()
        people = [_person(service, number) for number in range(PEOPLE)]
        later = now + timedelta(minutes=2)
        tokens = []
        with stopwatch() as logins:
            for username, secret in people:
                code = pyotp.TOTP(secret).at(later)
                login = service.identity.login_password(
                    username, PASSWORD, code, source_ip="10.1.2.3", device="", now=later
                )
                if login.session is None:
                    raise RuntimeError(login.reason_en)
                tokens.append(login.session.token)
        with stopwatch() as lookups:
            for number in range(LOOKUPS):
                service.identity.session(tokens[number % PEOPLE], later)
    return [
        Figure(
            name="password logins",
            value=PEOPLE / logins.wall,
            unit="logins/s",
            bar=30,
            note="argon2id m=19 MiB t=2 p=1; a later part's bar",
        ),
        Figure(name="session look-ups", value=LOOKUPS / lookups.wall, unit="look-ups/s"),
    ]


def _person(service: Service, number: int) -> tuple[str, str]:
    now, secret = service.clock(), pyotp.random_base32()
    account = service.identity.add_person(
        username=f"person{number}",
        display_name=f"Person {number}",
        organization_id=CITY,
        roles=[Role.CIVIL_SERVANT],
        actor=OPERATOR,
        now=now,
    )
    token = service.identity.invitation(account.id, actor=OPERATOR, now=now)
    service.identity.complete_invitation(
        token,
        password=PASSWORD,
        totp_secret=secret,
        totp_code=pyotp.TOTP(secret).at(now),
        source_ip="10.1.2.3",
        now=now,
    )
    return account.username, secret
