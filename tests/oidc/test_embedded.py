"""The issuer over the provider that the service really uses: what ends a login there ends its tokens here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from identity.oidc.messages import Redirect
from tests.identity.world import World as City
from tests.oidc.world import World

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from secops.db import Database


class Joined(City):
    """The city of the identity tests, whose provider tells an issuer when a login ends."""

    issuer_world: World

    def _session_ended(self, tx: Tx, session_id: str, account_id: str, now: datetime) -> None:
        super()._session_ended(tx, session_id, account_id, now)
        self.issuer_world.issuer.end_grants(tx, session_id, now)
        self.issuer_world.notes += self.issuer_world.issuer.notifications(tx, session_id, now)


@pytest.fixture
def joined(database: Database) -> Joined:
    city = Joined(database)
    city.issuer_world = World(database, now=city.now, provider=city.provider)
    return city


def tokens(city: Joined, session: Any) -> dict[str, Any]:
    city.issuer_world.now = city.now
    return city.issuer_world.tokens(session)


def test_a_real_login_gives_tokens_and_its_logout_takes_them(joined: Joined) -> None:
    person = joined.set_up()
    joined.after(minutes=1)
    session = joined.log_in(person)
    held = tokens(joined, session)
    assert joined.issuer_world.userinfo(held["access_token"]).body["preferred_username"] == "admin.li"
    joined.provider.logout(session.token, joined.now)
    assert joined.issuer_world.userinfo(held["access_token"]).status == 401
    assert len(joined.issuer_world.notes) == 1


def test_idle_logins_give_no_more_tokens(joined: Joined) -> None:
    person = joined.set_up()
    joined.after(minutes=1)
    session = joined.log_in(person)
    assert isinstance(joined.issuer_world.authorize(session), Redirect)
    code = joined.issuer_world.code(session)
    joined.after(minutes=31)
    joined.issuer_world.now = joined.now
    assert joined.issuer_world.exchange(code).body["error"] == "invalid_grant"
