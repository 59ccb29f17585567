"""The throttle's memory: counters, and the networks and devices from which each person has logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from identity import throttle
from identity.tables import KnownPlaceRow, ThrottleRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.settings import IdentitySettings
    from identity.throttle import Attempt, Counter, Key

NETWORK: Final = "network"
DEVICE: Final = "device"


def attempt(
    tx: Tx,
    username: str,
    account_id: str,
    *,
    source_ip: str,
    device: str,
    settings: IdentitySettings,
    now: datetime,
) -> Attempt:
    """Say where an attempt comes from, and whether the account (if there is one) has logged in from there."""
    network, device_hash = throttle.network_of(source_ip, settings), throttle.device_of(device)
    known = tx.execute(
        sa.select(KnownPlaceRow.kind, KnownPlaceRow.place).where(
            KnownPlaceRow.account_id == account_id,
            KnownPlaceRow.place.in_([network, device_hash]),
            KnownPlaceRow.last_seen_at > now - settings.known_place_lifetime,
        )
    ).all()
    places = {(kind, place) for kind, place in known}
    return throttle.Attempt(
        username=username,
        network=network,
        device=device_hash,
        known_network=network != throttle.UNKNOWN_NETWORK and (NETWORK, network) in places,
        known_device=bool(device_hash) and (DEVICE, device_hash) in places,
    )


def on_file(tx: Tx, account_id: str) -> int:
    """Count the networks and devices kept of a person; with none there is nothing a login could differ from."""
    counted = tx.scalar(sa.select(sa.func.count()).where(KnownPlaceRow.account_id == account_id))
    return int(counted or 0)


def remember(tx: Tx, account_id: str, seen: Attempt, settings: IdentitySettings, now: datetime) -> None:
    """Note that the person has logged in from this network and device; forget the longest unused ones."""
    for kind, place in ((NETWORK, seen.network), (DEVICE, seen.device)):
        if not place or place == throttle.UNKNOWN_NETWORK:
            continue
        row = tx.get(KnownPlaceRow, (account_id, kind, place))
        if row is None:
            tx.add(KnownPlaceRow(account_id=account_id, kind=kind, place=place, first_seen_at=now, last_seen_at=now))
            _forget_oldest(tx, account_id, kind, settings)
        else:
            row.last_seen_at = now


def counters(tx: Tx, wanted: Iterable[Key]) -> dict[Key, Counter]:
    """Read counters; those that do not exist are left out."""
    by_name = {key.name: key for key in wanted}
    rows = tx.scalars(sa.select(ThrottleRow).where(ThrottleRow.key.in_(by_name)))
    return {by_name[row.key]: _counter(row) for row in rows}


def lock(tx: Tx, wanted: Iterable[Key], now: datetime) -> dict[Key, Counter]:
    """Make the counters exist and hold them until the transaction ends, always in one order; give their values."""
    by_name = {key.name: key for key in wanted}
    ordered = sa.select(ThrottleRow).where(ThrottleRow.key.in_(by_name)).order_by(ThrottleRow.key)
    held = ordered.with_for_update().execution_options(populate_existing=True)
    while True:
        for name in sorted(by_name):
            _insert_if_absent(tx, name, by_name[name].scope, now)
        rows = tx.scalars(held).all()
        if len(rows) == len(by_name):  # else a success elsewhere took one away between the two statements
            return {by_name[row.key]: _counter(row) for row in rows}


def store(tx: Tx, changed: Mapping[Key, Counter]) -> None:
    """Write counters that were locked in this transaction."""
    for key, counter in changed.items():
        row = tx.get_one(ThrottleRow, key.name)
        row.level, row.last_failure_at, row.refused = counter.level, counter.at, counter.refused


def clear(tx: Tx, done: Iterable[Key]) -> None:
    """Take counters away after a success."""
    tx.execute(sa.delete(ThrottleRow).where(ThrottleRow.key.in_([key.name for key in done])))


def sweep(tx: Tx, settings: IdentitySettings, now: datetime) -> int:
    """Delete counters that have leaked away and places long unused; give how many rows went."""
    gone = 0
    for scope in throttle.Scope:
        horizon = now - throttle.leak_of(scope, settings)
        rows = tx.scalars(
            sa.select(ThrottleRow).where(ThrottleRow.scope == scope, ThrottleRow.last_failure_at < horizon)
        )
        forgotten = [row for row in rows if throttle.is_forgotten(_counter(row), scope, settings, now)]
        for row in forgotten:
            tx.delete(row)
        gone += len(forgotten)
    places = sa.delete(KnownPlaceRow).where(KnownPlaceRow.last_seen_at < now - settings.known_place_lifetime)
    return gone + tx.connection().execute(places).rowcount


def _counter(row: ThrottleRow) -> Counter:
    return throttle.Counter(row.level, row.last_failure_at, row.refused)


def _insert_if_absent(tx: Tx, name: str, scope: throttle.Scope, now: datetime) -> None:
    values = {"key": name, "scope": scope.value, "level": 0.0, "last_failure_at": now, "refused": 0}
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    tx.execute(insert(ThrottleRow).values(values).on_conflict_do_nothing(index_elements=[ThrottleRow.key]))


def _forget_oldest(tx: Tx, account_id: str, kind: str, settings: IdentitySettings) -> None:
    mine = sa.select(KnownPlaceRow).where(KnownPlaceRow.account_id == account_id, KnownPlaceRow.kind == kind)
    for row in tx.scalars(mine.order_by(KnownPlaceRow.last_seen_at.desc()).offset(settings.known_places)):
        tx.delete(row)
