"""The tree of organisations; an organisation is also a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from identity.accounts import require
from identity.names import check_display_name, check_organization_id
from identity.principal import CITY, Permission, Resource
from identity.provider import IdentityError, Organization, OrganizationKind
from identity.tables import OrganizationRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.environment import Environment
    from identity.principal import Principal

DEPTH_MAXIMUM: Final = 10

_PARENTS: Final = {
    OrganizationKind.COUNTY: frozenset({OrganizationKind.CITY}),
    OrganizationKind.DEPARTMENT: frozenset(
        {OrganizationKind.CITY, OrganizationKind.COUNTY, OrganizationKind.DEPARTMENT}
    ),
    OrganizationKind.CONTRACTOR: frozenset(
        {OrganizationKind.CITY, OrganizationKind.COUNTY, OrganizationKind.DEPARTMENT}
    ),
    OrganizationKind.CITY: frozenset(),
}


def ensure_root(tx: Tx, env: Environment, now: datetime) -> OrganizationRow:
    """Give the root, made when missing."""
    row = tx.get(OrganizationRow, CITY)
    if row is None:
        row = OrganizationRow(
            id=CITY,
            name_zh=env.settings.city_name_zh,
            name_en=env.settings.city_name_en,
            parent_id=None,
            kind=OrganizationKind.CITY,
            path=CITY,
            created_at=now,
        )
        try:
            with tx.begin_nested():
                tx.add(row)
        except sa.exc.IntegrityError:  # another process made it since we looked
            row = tx.get_one(OrganizationRow, CITY)
    return row


def add(tx: Tx, env: Environment, new: Organization, actor: Principal, now: datetime) -> Organization:
    """Add a node (its ``path`` is worked out here) and record it.

    Raises:
        IdentityError: permission.denied, organization.invalid, .unknown, .taken, .kind or .deep.
    """
    ensure_root(tx, env, now)  # the command line may come before the set-up
    parent = known(tx, new.parent_id or "")
    path = tuple(parent.path.split("/"))
    require(actor, Permission.PEOPLE_MANAGE, Resource(organization_path=path))
    _check_place(new, OrganizationKind(parent.kind), path)
    if tx.get(OrganizationRow, check_organization_id(new.id)) is not None:
        raise IdentityError("organization.taken", "该单位标识已被使用", "This organisation id is taken")
    row = OrganizationRow(
        id=new.id,
        name_zh=check_display_name(new.name_zh),
        name_en=check_display_name(new.name_en),
        parent_id=parent.id,
        kind=new.kind,
        path=f"{parent.path}/{new.id}",
        created_at=now,
    )
    tx.add(row)
    tx.flush()
    detail = {"kind": row.kind, "parent": parent.id, "name": row.name_zh}
    env.audit(tx, at=now, actor=actor.username, action="organization.add", target=row.id, tenant=row.id, detail=detail)
    return organization_of(row)


def _check_place(new: Organization, parent: OrganizationKind, path: tuple[str, ...]) -> None:
    if parent not in _PARENTS[new.kind]:
        raise IdentityError(
            "organization.kind",
            "此类单位不能设在该上级单位之下",
            f"An organisation of kind {new.kind} cannot be below one of kind {parent}",
        )
    if len(path) >= DEPTH_MAXIMUM:
        raise IdentityError("organization.deep", "单位层级过深", f"The tree is at most {DEPTH_MAXIMUM} levels deep")


def known(tx: Tx, organization_id: str) -> OrganizationRow:
    """Give an organisation that must exist.

    Raises:
        IdentityError: organization.unknown
    """
    row = tx.get(OrganizationRow, organization_id[:40])
    if row is None:
        raise IdentityError("organization.unknown", "没有这个单位", "There is no such organisation")
    return row


def every(tx: Tx) -> list[Organization]:
    """Give the whole tree, parents before children."""
    return [organization_of(row) for row in tx.scalars(sa.select(OrganizationRow).order_by(OrganizationRow.path))]


def subtree(tx: Tx, path: tuple[str, ...]) -> frozenset[str]:
    """Give the ids of an organisation and everything below it; nothing for an empty path."""
    if not path:
        return frozenset()
    text = "/".join(path)
    inside = sa.or_(OrganizationRow.path == text, OrganizationRow.path.startswith(f"{text}/", autoescape=True))
    return frozenset(tx.scalars(sa.select(OrganizationRow.id).where(inside)))


def organization_of(row: OrganizationRow) -> Organization:
    """Give a row as the value others see."""
    return Organization(
        id=row.id,
        name_zh=row.name_zh,
        name_en=row.name_en,
        parent_id=row.parent_id,
        kind=OrganizationKind(row.kind),
        path=tuple(row.path.split("/")),
    )
