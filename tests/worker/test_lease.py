from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from secops import lease, progress
from secops.db import Database, create_all
from secops.lease import LeaseLost
from secops.migrations.metadata import METADATAS
from secops.worker.shares import Everything, Shared

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest) -> Iterator[Database]:
    if request.param == "sqlite":
        yield request.getfixturevalue("database")
        return
    found = Database(request.getfixturevalue("postgres_url"))
    create_all(found, METADATAS)
    yield found
    found.close()


def test_one_holds_until_it_is_silent_for_a_term(state: Database) -> None:
    with state.begin() as tx:
        held = lease.take(tx, "detect", "a", NOW)
    assert held is not None
    with state.begin() as tx:
        assert lease.take(tx, "detect", "b", NOW + lease.TERM / 2) is None
        assert lease.take(tx, "audit", "b", NOW) is not None, "another lease is another matter"
        lease.keep(tx, held, NOW + lease.TERM / 2)
    with state.begin() as tx:
        assert lease.take(tx, "detect", "b", NOW + lease.TERM) is None, "it was kept meanwhile"
    with state.begin() as tx:
        taken = lease.take(tx, "detect", "b", NOW + 2 * lease.TERM)
        assert taken is not None
        assert taken.epoch == held.epoch + 1
        assert lease.holder(tx, "detect") == "b"


def test_what_a_holder_stores_after_another_took_over_is_not_stored(state: Database) -> None:
    with state.begin() as tx:
        old = lease.take(tx, "detect", "a", NOW)
        progress.advance(tx, "detect", 0, 10)
    with state.begin() as tx:
        new = lease.take(tx, "detect", "b", NOW, assigned=True)
    assert old is not None
    assert new is not None
    with pytest.raises(LeaseLost), state.begin() as tx:
        progress.advance(tx, "detect", 0, 99)
        lease.keep(tx, old, NOW)
    with state.begin() as tx:
        lease.keep(tx, new, NOW)
        progress.advance(tx, "detect", 0, 20)
        lease.give_back(tx, old, NOW)  # touches nothing that is another's
        assert lease.take(tx, "detect", "a", NOW + timedelta(seconds=1)) is None
    with state.read() as tx:
        assert progress.cursor(tx, "detect", 0) == 20


def test_the_same_machine_takes_over_from_itself_at_once_and_shuts_its_old_process_out(state: Database) -> None:
    with state.begin() as tx:
        old = lease.take(tx, "detect", "a", NOW)
        new = lease.take(tx, "detect", "a", NOW)
    assert old is not None
    assert new is not None
    with pytest.raises(LeaseLost), state.begin() as tx:
        lease.keep(tx, old, NOW)


def test_given_back_is_free_at_once(state: Database) -> None:
    with state.begin() as tx:
        held = lease.take(tx, "detect", "a", NOW)
        assert held is not None
        lease.give_back(tx, held, NOW)
        assert lease.take(tx, "detect", "b", NOW) is not None


class World:
    """Says what it was told."""

    def __init__(self) -> None:
        self.assigned: frozenset[int] = frozenset()

    def partitions(self) -> frozenset[int]:
        return self.assigned

    def close(self) -> None:
        self.assigned = frozenset()


def test_a_share_brings_a_lease_that_shuts_out_who_had_it_before(state: Database) -> None:
    ours, theirs = World(), World()
    a = Shared(ours, state, "index", "a", lambda: NOW)
    b = Shared(theirs, state, "index", "b", lambda: NOW)
    ours.assigned = frozenset({0, 1, 2})
    before = a.mine()
    assert set(before) == {0, 1, 2}
    assert a.mine() == before, "what stays keeps its lease"
    ours.assigned, theirs.assigned = frozenset({0}), frozenset({1, 2})
    assert set(b.mine()) == {1, 2}
    after = a.mine()
    assert after == {0: before[0]}
    lost, kept = before[1], before[0]
    assert lost is not None
    assert kept is not None
    with pytest.raises(LeaseLost), state.begin() as tx:
        lease.keep(tx, lost, NOW)
    with state.begin() as tx:
        lease.keep(tx, kept, NOW)
    assert Everything(range(3)).mine() == {0: None, 1: None, 2: None}
