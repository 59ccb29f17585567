from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from identity import totp
from identity.principal import Role
from identity.provider import IdentityError
from identity.tables import LinkRow
from tests.identity.world import OFFICE, OPERATOR, PASSWORD, World

if TYPE_CHECKING:
    from identity.provider import Account

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def complete(world: World, token: str, **changes: str) -> Account:
    values = {
        "username": "admin.li",
        "display_name": "李管理",
        "password": PASSWORD,
        "totp_secret": SECRET,
        "totp_code": totp.code_at(SECRET, world.now),
    } | changes
    return world.provider.complete_setup(token, **values, source_ip=OFFICE, now=world.now)


def token_of(world: World) -> str:
    token = world.provider.setup_token(world.now)
    assert token is not None
    return token


def test_the_first_administrator_is_made_once(world: World) -> None:
    token = token_of(world)
    assert world.provider.begin_setup(token, world.now)
    account = complete(world, token)
    assert account.roles == {Role.SYSTEM_ADMIN}
    assert account.organization_id == "city"
    assert account.has_password
    assert account.has_totp
    assert world.provider.setup_token(world.now) is None
    assert not world.provider.begin_setup(token, world.now)
    with pytest.raises(IdentityError) as caught:
        complete(world, token, username="second")
    assert caught.value.code == "link.invalid"
    assert [row.actor for row in world.audited("setup.complete")] == ["admin.li"]


def test_a_new_token_replaces_the_one_before(world: World) -> None:
    first, second = token_of(world), token_of(world)
    assert first != second
    assert not world.provider.begin_setup(first, world.now)
    assert world.provider.begin_setup(second, world.now)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "密" * 43, "\ud800", "A" * 100_000])
def test_a_guessed_token_opens_nothing(world: World, token: str) -> None:
    token_of(world)
    assert not world.provider.begin_setup(token, world.now)
    with pytest.raises(IdentityError) as caught:
        complete(world, token)
    assert caught.value.code == "link.invalid"


def test_only_a_hash_of_the_token_is_stored(world: World) -> None:
    token = token_of(world)
    with world.database.read() as tx:
        stored = tx.scalars(sa.select(LinkRow.token_hash)).one()
    assert len(token) == 43
    assert token not in stored


def test_the_set_up_is_over_when_an_account_came_another_way(world: World) -> None:
    token = token_of(world)
    world.person("somebody", actor=OPERATOR)
    assert not world.provider.begin_setup(token, world.now)
    assert world.provider.setup_token(world.now) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"password": "Admin@123456789"}, "password.weak"),
        ({"password": "admin.li"}, "password.short"),
        ({"totp_code": "000000"}, "totp.wrong"),
        ({"totp_secret": "AAAA"}, "totp.secret"),
        ({"username": "-x"}, "username.invalid"),
        ({"username": "a b"}, "username.invalid"),
        ({"display_name": " "}, "name.invalid"),
        ({"display_name": "李\u202e管理"}, "name.invalid"),
        ({"display_name": "x" * 101}, "name.invalid"),
    ],
)
def test_a_mistake_leaves_the_link_usable(world: World, changes: dict[str, str], code: str) -> None:
    token = token_of(world)
    with pytest.raises(IdentityError) as caught:
        complete(world, token, **changes)
    assert caught.value.code == code
    assert caught.value.zh
    assert complete(world, token).username == "admin.li"


def test_two_browsers_at_once_make_one_administrator(world: World) -> None:
    token = token_of(world)
    start = threading.Barrier(4)

    def attempt(number: int) -> str:
        start.wait()
        try:
            return complete(world, token, username=f"admin{number}").username
        except IdentityError as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(attempt, range(4)))
    assert outcomes[1:] == ["link.invalid"] * 3
    assert outcomes[0].startswith("admin")
