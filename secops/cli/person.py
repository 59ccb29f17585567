"""``secops person``: accounts, invitations, organisations, for the operator at the machine itself.

Who can read the state folder can do this; every act is audited as ``operator:<login name of the operating system>``.
"""

from __future__ import annotations

from typing import Annotated

import typer

from identity.principal import CITY, Role
from identity.provider import Account, OrganizationKind
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, open_from, operator, table
from secops.errors import UserError
from secops.wiring import Service

app = typer.Typer(help="人员与单位 / people and organisations", no_args_is_help=True)


@app.command()
def add(
    username: Annotated[str, typer.Argument(help="登录名 / user name")],
    name: Annotated[str, typer.Option("--name", help="姓名 / display name")],
    role: Annotated[list[Role], typer.Option("--role", help="角色，可多次 / role, repeatable")],
    organization: Annotated[str, typer.Option("--organization", "--org", help="单位编号 / organisation id")] = CITY,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """新增人员并给出一次性邀请链接 / Add a person and give the one-time invitation link."""
    with open_from(state, config) as service:
        now = service.clock()
        account = service.identity.add_person(
            username=username, display_name=name, organization_id=organization, roles=role, actor=operator(), now=now
        )
        link = _link(service, account)
        emit({**_plain(account), "invitation": link}, as_json, f"{account.username} ({account.id})\n{link}")


@app.command("list")
def list_people(
    search: Annotated[str, typer.Option(help="登录名或姓名的一部分 / part of a name")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    after: Annotated[str, typer.Option(help="上一页最后的登录名 / last user name of the page before")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """列出人员 / List people."""
    with open_from(state, config) as service:
        people = service.identity.people(actor=operator(), search=search, limit=limit, after=after)
    rows = [
        [p.username, p.display_name, p.organization_id, "、".join(r.zh for r in sorted(p.roles)), p.status]
        for p in people
    ]
    header = ["登录名 user", "姓名 name", "单位 org", "角色 roles", "状态 status"]
    emit([_plain(p) for p in people], as_json, lambda: table(rows, header))


@app.command()
def invite(username: str, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """重新给出邀请链接，旧链接失效 / Give a new invitation link; the old one ends."""
    with open_from(state, config) as service:
        link = _link(service, _account(service, username))
        emit({"invitation": link}, as_json, link)


@app.command()
def disable(
    username: str,
    reason: Annotated[str, typer.Option(help="原因 / reason")],
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """停用人员，立即结束其全部会话 / Disable a person and end every session at once."""
    with open_from(state, config) as service:
        account = _account(service, username)
        changed = service.identity.disable(account.id, reason=reason, actor=operator(), now=service.clock())
        emit(_plain(changed), as_json, f"已停用 / disabled: {username}")


@app.command()
def enable(username: str, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """恢复人员 / Enable a person again."""
    with open_from(state, config) as service:
        account = _account(service, username)
        changed = service.identity.enable(account.id, actor=operator(), now=service.clock())
        emit(_plain(changed), as_json, f"已恢复 / enabled: {username}")


@app.command()
def organization(
    organization_id: Annotated[
        str, typer.Argument(help="编号，小写字母、数字、连字符 / id: lower-case letters, digits, hyphens")
    ],
    name_zh: Annotated[str, typer.Option("--zh", help="中文名称 / Chinese name")],
    name_en: Annotated[str, typer.Option("--en", help="英文名称 / English name")],
    kind: Annotated[OrganizationKind, typer.Option(help="类别 / kind")],
    parent: Annotated[str, typer.Option(help="上级单位 / parent")] = CITY,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """新增单位 / Add an organisation."""
    with open_from(state, config) as service:
        made = service.identity.add_organization(
            id=organization_id,
            name_zh=name_zh,
            name_en=name_en,
            parent_id=parent,
            kind=kind,
            actor=operator(),
            now=service.clock(),
        )
        emit({"id": made.id, "path": list(made.path)}, as_json, " / ".join(made.path))


def _account(service: Service, username: str) -> Account:
    account = service.identity.account_by_username(username)
    if account is None:
        raise UserError("person.unknown", f"没有登录名为 {username!r} 的人员", f"nobody has the user name {username!r}")
    return account


def _link(service: Service, account: Account) -> str:
    token = service.identity.invitation(account.id, actor=operator(), now=service.clock())
    return f"{service.settings.issuer}/invite/{token}"


def _plain(account: Account) -> dict[str, object]:
    return {
        "id": account.id,
        "username": account.username,
        "display_name": account.display_name,
        "organization": account.organization_id,
        "roles": sorted(account.roles),
        "status": account.status,
        "created_at": account.created_at,
    }
