"""Parsers of one's own: written, tried on lines, put in force; a broken file is shown with its reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from identity.principal import Permission
from secops import audit
from secops.api.problems import Forbidden, NotFound
from secops.console.parser_trial import MOST_LINES, Tried, read_text, try_lines
from secops.console.tenants import tenant_names
from secops.console.visit import Page, Routes
from secops.errors import UserError
from secops.normalise.custom import MOST_BYTES, PATTERNS
from secops.normalise.custom_shelf import MOST_FILES, CustomShelf
from secops.records import RAW
from secops.store.index import IndexUnavailable, Query

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

    from secops.console.visit import Visit

UNPARSED: Final = "event.dataset:*.generic"
NEWEST: Final = 20
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
EXAMPLE: Final = """# match: which events; each part may be left out
match: {program: gated, host: 'gate-*'}
timestamp: ['%Y/%m/%d %H:%M:%S', iso]
patterns:
  - '%{SLASHTIME:@timestamp} %{WORD:event.action} by %{USER:user.name} from %{IP:source.ip}:%{INT:source.port}'
constants:
  event.category: [network]
"""


def listing(visit: Visit) -> Response:
    """The parsers of the visitor's organisations; ``?tenant=&name=`` opens one."""
    tenant, name = _tenant(visit, visit.query("tenant", limit=100)), visit.query("name", limit=60)
    text = EXAMPLE
    if name:
        path = _path(visit, tenant, name)
        if not path.is_file():
            raise NotFound
        text = path.read_text("utf-8", "replace")[:MOST_BYTES]
    return _page(visit, tenant, name, text, _newest(visit, tenant))


def trial(visit: Visit) -> Response:
    """Try the text on lines; nothing is stored."""
    tenant, name = _tenant(visit, visit.value("tenant", limit=100)), visit.value("name", limit=60) or "trial"
    text, lines = visit.value("text", limit=MOST_BYTES + 1), visit.value("lines", limit=200_000)
    tried = try_lines(read_text(text, name), lines.splitlines(), visit.now)
    return _page(visit, tenant, name, text, tried)


def save(visit: Visit) -> Response:
    """Put it in force: the ingest role has it within a second."""
    tenant, name = _tenant(visit, visit.value("tenant", limit=100)), visit.value("name", limit=60)
    visit.need(Permission.SOURCES_MANAGE, visit.tenant(tenant))
    text, path = visit.value("text", limit=MOST_BYTES + 1), _path(visit, tenant, name)
    read_text(text, name)
    others = [one for one in path.parent.glob("*.yml") if one != path]
    if len(others) >= MOST_FILES:
        raise UserError(
            "parser.many",
            f"每个单位最多 {MOST_FILES} 个解析器；请先删除不用的。",
            f"An organisation has at most {MOST_FILES} parsers; delete one first.",
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(text + "\n", "utf-8")
    draft.replace(path)
    _record(visit, "parser.saved", tenant, name)
    return visit.to(f"/sources/parsers?tenant={tenant}", "parser")


def delete(visit: Visit) -> Response:
    """Take it out of force."""
    tenant, name = _tenant(visit, visit.value("tenant", limit=100)), visit.value("name", limit=60)
    visit.need(Permission.SOURCES_MANAGE, visit.tenant(tenant))
    _path(visit, tenant, name).unlink(missing_ok=True)
    _record(visit, "parser.deleted", tenant, name)
    return visit.to(f"/sources/parsers?tenant={tenant}", "parser")


def _page(visit: Visit, tenant: str, name: str, text: str, lines: str | list[Tried]) -> Response:
    """The page; ``lines`` to try next, or those that were tried."""
    tried = lines if isinstance(lines, list) else None
    shelf = CustomShelf(visit.service.parsers_dir)
    shelf.refresh()
    names = tenant_names(visit)
    return visit.page(
        "parsers.html",
        tenant=tenant,
        name=name,
        text=text,
        lines=lines if isinstance(lines, str) else "\n".join(one.line for one in lines),
        tried=tried,
        names=names,
        own=[(owner, one.name) for owner, found in shelf.parsers.items() if owner in names for one in found],
        broken=[one for one in shelf.broken if one.tenant in names],
        patterns=PATTERNS,
        most=MOST_LINES,
        may_save=visit.can(Permission.SOURCES_MANAGE, visit.tenant(tenant)),
    )


def _newest(visit: Visit, tenant: str) -> str:
    """The newest messages of the organisation that nobody could parse, for who may read events."""
    if not visit.can(Permission.EVENTS_READ, visit.tenant(tenant)):
        return ""
    try:
        found = visit.service.index.search(Query(text=UNPARSED, tenants=frozenset({tenant}), limit=NEWEST))
    except IndexUnavailable:
        return ""
    return "\n".join(str(hit.get(RAW, ""))[:2000].replace("\n", " ") for hit in found.hits)


def _tenant(visit: Visit, asked: str) -> str:
    tenant = asked or visit.principal.organization_id
    if tenant not in tenant_names(visit):
        raise Forbidden
    return tenant


def _path(visit: Visit, tenant: str, name: str) -> Path:
    """Where a parser lies; tenant and name are known names, so it cannot lie elsewhere."""
    if not _NAME.fullmatch(name) or not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", tenant):
        raise UserError(
            "parser.name",
            "名称只能用小写字母、数字、- 和 _，最长 40 个字符。",
            "A name consists of a-z, 0-9, - and _, at most 40 characters.",
        )
    return visit.service.parsers_dir / tenant / f"{name}.yml"


def _record(visit: Visit, action: str, tenant: str, name: str) -> None:
    with visit.service.database.begin() as tx:
        audit.record(
            tx,
            at=visit.now,
            actor=visit.principal.username,
            action=action,
            target=name,
            tenant=tenant,
            source_ip=visit.source_ip,
        )


ROUTES: Routes = (
    Page("GET", "/sources/parsers", listing, Permission.SOURCES_READ),
    Page("POST", "/sources/parsers", save, Permission.SOURCES_MANAGE),
    Page("POST", "/sources/parsers/trial", trial, Permission.SOURCES_READ),
    Page("POST", "/sources/parsers/delete", delete, Permission.SOURCES_MANAGE),
)
