from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from identity.principal import Role
from identity.provider import IdentityError
from identity.tables import SessionRow
from tests.identity.world import OPERATOR, Person, World

if TYPE_CHECKING:
    from datetime import datetime


@pytest.fixture
def person(world: World) -> Person:
    return world.person("wang.fang", [Role.SECURITY_OFFICER])


def end_reasons(world: World) -> list[str]:
    return [row.reason for row in world.audited("session.end")]


def test_a_session_lives_while_it_is_used_and_no_longer_than_the_absolute_limit(world: World, person: Person) -> None:
    session = world.log_in(person)
    assert session.expires_at == session.auth_time + timedelta(hours=10)
    while world.after(minutes=29) < session.expires_at:
        assert world.provider.session(session.token, world.now) is not None
    assert world.provider.session(session.token, world.now) is None
    assert end_reasons(world) == ["expired"]
    assert world.ended == [session.id]


def test_an_idle_session_ends(world: World, person: Person) -> None:
    session = world.log_in(person)
    assert world.provider.session(session.token, world.after(minutes=30)) is None
    assert end_reasons(world) == ["idle"]


def test_the_token_is_shown_once(world: World, person: Person) -> None:
    session = world.log_in(person)
    found = world.provider.session(session.token, world.now)
    assert found is not None
    assert (found.token, found.id, found.principal) == ("", session.id, session.principal)
    assert len(session.token) == 43


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "密" * 43, "\ud800", "A" * 100_000])
def test_a_guessed_token_is_nobody(world: World, person: Person, token: str) -> None:
    world.log_in(person)
    assert world.provider.session(token, world.now) is None
    world.provider.logout(token, world.now)
    assert world.ended == []


def test_logout_ends_the_session_once(world: World, person: Person) -> None:
    session, other = world.log_in(person), world.log_in(person)
    world.provider.logout(session.token, world.now)
    world.provider.logout(session.token, world.now)
    assert world.provider.session(session.token, world.now) is None
    assert world.provider.session(other.token, world.now) is not None
    assert world.ended == [session.id]
    assert end_reasons(world) == ["logout"]


def test_looking_by_id_checks_the_same_and_is_no_activity(world: World, person: Person) -> None:
    session = world.log_in(person)
    world.after(minutes=29)
    found = world.provider.session_by_id(session.id, world.now)
    assert found is not None
    assert found.token == ""
    world.after(minutes=1)
    assert world.provider.session_by_id(session.id, world.now) is None
    assert world.provider.session_by_id("nothing", world.now) is None


def test_activity_is_written_at_most_once_a_minute(world: World, person: Person) -> None:
    session = world.log_in(person)

    def last_seen() -> datetime:
        with world.database.read() as tx:
            return tx.get_one(SessionRow, session.id).last_seen_at

    started = world.now
    world.provider.session(session.token, world.after(seconds=59))
    assert last_seen() == started
    world.provider.session(session.token, world.after(seconds=1))
    assert last_seen() == world.now


def test_disabling_a_person_ends_every_session_at_once(world: World, person: Person) -> None:
    sessions = [world.log_in(person), world.log_in(person)]
    world.provider.disable(person.id, reason="left the bureau", actor=OPERATOR, now=world.now)
    assert sorted(world.ended) == sorted(session.id for session in sessions)
    assert all(world.provider.session(session.token, world.now) is None for session in sessions)
    assert len(world.ended) == 2, "nothing ends twice"


def test_a_changed_role_ends_the_session_so_that_it_holds_at_once(world: World, person: Person) -> None:
    session = world.log_in(person)
    world.provider.set_roles(person.id, [Role.INSPECTOR], actor=OPERATOR, now=world.now)
    assert world.provider.session(session.token, world.now) is None
    assert world.log_in(person).principal.roles == {Role.INSPECTOR}


def test_a_person_lists_and_ends_his_own_sessions_and_nobody_elses(world: World, person: Person) -> None:
    other = world.person("li.qiang")
    mine, second, his = world.log_in(person), world.log_in(person), world.log_in(other)
    me = mine.principal
    assert [session.id for session in world.provider.sessions(person.id, world.now)] == [second.id, mine.id]
    with pytest.raises(IdentityError) as caught:
        world.provider.end_session(his.id, reason="spite", actor=me, now=world.now)
    assert caught.value.code == "permission.denied"
    with pytest.raises(IdentityError):
        world.provider.end_sessions(other.id, reason="spite", actor=me, now=world.now)
    assert world.provider.end_session(second.id, reason="forgotten", actor=me, now=world.now) == 1
    assert world.provider.end_session(second.id, reason="forgotten", actor=me, now=world.now) == 0
    assert world.provider.end_session("nothing", reason="", actor=me, now=world.now) == 0
    assert world.provider.end_sessions(person.id, reason="all", actor=me, now=world.now) == 1
    assert world.provider.end_sessions(other.id, reason="help", actor=OPERATOR, now=world.now) == 1
    with pytest.raises(IdentityError) as caught:
        world.provider.end_sessions("nobody", reason="", actor=OPERATOR, now=world.now)
    assert caught.value.code == "account.unknown"


def test_the_sweep_ends_what_is_over_and_forgets_what_is_old(world: World, person: Person) -> None:
    forgotten = world.log_in(person)
    world.after(minutes=20)
    used = world.log_in(person)
    world.after(minutes=15)
    assert world.provider.sweep(world.now) == 1
    assert world.ended == [forgotten.id]
    assert world.provider.sweep(world.now) == 0
    assert world.provider.session(used.token, world.now) is not None
    world.after(days=181)
    world.provider.sweep(world.now)
    with world.database.read() as tx:
        assert list(tx.scalars(sa.select(SessionRow.id))) == [used.id]
