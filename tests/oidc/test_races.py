from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from identity.tables import Base as IdentityBase
from secops.db import Base, Database, create_all
from tests.oidc.world import SECRET, World, basic, post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from identity.oidc.messages import Reply

AT_ONCE = 6


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
def city(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The world on both databases."""
    on_sqlite = request.param == "sqlite"
    database = Database(f"sqlite:///{tmp_path / 'state.db'}" if on_sqlite else request.getfixturevalue("postgres_url"))
    create_all(database, [Base.metadata, IdentityBase.metadata])
    yield World(database)
    database.close()


def all_at_once(ask: Callable[[], Reply]) -> list[int]:
    barrier = Barrier(AT_ONCE)

    def one() -> int:
        barrier.wait(20)
        return ask().status

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sorted(future.result() for future in [pool.submit(one) for _ in range(AT_ONCE)])


def test_of_many_exchanges_of_one_code_at_most_one_wins(city: World) -> None:
    code = city.code(city.identity.login("zhang"))
    assert all_at_once(lambda: city.exchange(code)) == [200] + [400] * (AT_ONCE - 1)


def test_of_many_uses_of_one_refresh_token_at_most_one_wins(city: World) -> None:
    token = city.tokens(city.identity.login("zhang"))["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    statuses = all_at_once(lambda: city.issuer.token(post(form, basic("demo", SECRET)), city.now))
    assert statuses == [200] + [400] * (AT_ONCE - 1)


def test_many_tabs_log_in_to_one_system_at_once(city: World) -> None:
    session = city.identity.login("zhang")

    def ask() -> Reply:
        return city.exchange(city.code(session))

    assert all_at_once(ask) == [200] * AT_ONCE
    city.identity.logout(session.token, city.now)
    assert len(city.notes) == 1


def test_keys_are_made_once(city: World) -> None:
    city.issuer.ensure_keys(city.now)
    assert len(city.issuer.jwks(city.now).body["keys"]) == 2
