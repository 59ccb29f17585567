"""Sources: connecting one in a minute, and how each is doing from then on."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from identity.principal import Permission
from secops import source_health, sources
from secops.api.problems import Forbidden, NotFound
from secops.console.gathering import gathering
from secops.console.snippets import CA_FILE, SENDERS, place, snippet
from secops.console.tenants import tenant_names
from secops.console.visit import Page, Routes
from secops.source_health import SILENT

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

SILENCE_RULE: Final = "040016d6-af10-448b-8850-e26abd48ff1d"  # rules/watch/silent-source.yml
SHOWN: Final = 500
RECENT: Final = timedelta(hours=1)  # how long a page goes on waiting for the first event


def listing(visit: Visit) -> Response:
    """Every source of the visitor's tenants, those in trouble first."""
    with visit.service.database.read() as tx:
        found = list(source_health.find(tx, tenants=visit.visible_tenants()))
        tokens = [one for one in sources.tokens(tx) if _sees(visit, one.tenant)]
    read_in = visit.now.astimezone(visit.service.settings.ingest.zone(visit.now)).utcoffset() or timedelta(0)
    off = Counter(row.hours_off for row in found if row.hours_off)
    found.sort(key=lambda row: (not row.silent_at(visit.now), -row.quarantined))
    return visit.page(
        "sources.html",
        rows=found[:SHOWN],
        more=len(found) > SHOWN,
        tokens=tokens,
        names=tenant_names(visit),
        senders=SENDERS,
        gathering=gathering(visit.service.status()["ingest"], visit.visible_tenants()),
        silence_rule=SILENCE_RULE,
        off=off.most_common(1)[0] if off else None,
        read_in=source_health.utc(read_in),
        meant=source_health.zone_meant(off.most_common(1)[0][0], read_in) if off else "",
        hours=int(SILENT.total_seconds() // 3600),
    )


def connect(visit: Visit) -> Response:
    """What to write on the sender, and the first events as they arrive; shown without the token."""
    return _connect_page(visit, "")


def make_token(visit: Visit) -> Response:
    """The same page with a token made for it, shown this once."""
    kind, tenant = _kind(visit), _tenant(visit)
    visit.need(Permission.SOURCES_MANAGE, visit.tenant(tenant))
    token = ""
    if SENDERS[kind].token:
        with visit.service.database.begin() as tx:
            token = sources.create_token(
                tx,
                tenant=tenant,
                name=visit.value("name", limit=100) or kind,
                actor=visit.principal.username,
                now=visit.now,
            )
    return _connect_page(visit, token)


def revoke(visit: Visit) -> Response:
    """End a token."""
    number = visit.number("token_id")
    with visit.service.database.begin() as tx:
        one = next((one for one in sources.tokens(tx) if one.id == number), None)
        if one is None or not _sees(visit, one.tenant):
            raise NotFound
        visit.need(Permission.SOURCES_MANAGE, visit.tenant(one.tenant))
        sources.revoke_token(tx, number, actor=visit.principal.username, now=visit.now)
    return visit.to("/sources", "token-revoked")


def detail(visit: Visit) -> Response:
    """One source: rate, lag, clock, failures with samples."""
    with visit.service.database.read() as tx:
        row = source_health.get(tx, visit.number("source_id"), tenants=visit.visible_tenants())
    query = f'host.name:"{_quoted(row.host)}" AND agent.type:"{_quoted(row.collector)}"' if row.host else ""
    return visit.page(
        "source.html",
        row=row,
        names=tenant_names(visit),
        events=urlencode({"q": query, "range": "24h"}),
        unread=urlencode({"q": f"({query}) AND (event.kind:pipeline_error OR event.dataset:*.generic)", "range": "7d"}),
        silence_rule=SILENCE_RULE,
        may_see=visit.can(Permission.EVENTS_READ, visit.tenant(row.tenant)),
    )


def forget(visit: Visit) -> Response:
    """Take a source that was put out of service off the list."""
    with visit.service.database.begin() as tx:
        row = source_health.get(tx, visit.number("source_id"), tenants=visit.visible_tenants())
        visit.need(Permission.SOURCES_MANAGE, visit.tenant(row.tenant))
        source_health.forget(tx, row, actor=visit.principal.username, now=visit.now)
    return visit.to("/sources", "source-forgotten")


def _connect_page(visit: Visit, token: str) -> Response:
    kind, tenant = _kind(visit), _tenant(visit)
    since = _since(visit)
    where = place(visit.service.settings, kind, tenant)
    with visit.service.database.read() as tx:
        heard = source_health.find(tx, tenants=frozenset({tenant}), since=since)
    collector = SENDERS[kind].collector
    return visit.page(
        "source_connect.html",
        kind=kind,
        sender=SENDERS[kind],
        tenant=tenant,
        where=where,
        secret=token,
        ca_file=CA_FILE,
        snippet=snippet(kind, where, token),
        arrived=[row for row in heard if row.collector == collector and row.first_seen >= since],
        others=[row for row in heard if row.collector == collector and row.first_seen < since],
        names=tenant_names(visit),
        address=f"/sources/connect?{urlencode({'kind': kind, 'tenant': tenant, 'since': since.isoformat()})}",
        may_make=visit.can(Permission.SOURCES_MANAGE, visit.tenant(tenant)),
    )


def _kind(visit: Visit) -> str:
    kind = visit.query("kind", limit=40)
    if kind not in SENDERS:
        raise NotFound
    return kind


def _tenant(visit: Visit) -> str:
    tenant = visit.query("tenant", limit=100) or visit.principal.organization_id
    if tenant not in tenant_names(visit):
        raise Forbidden
    return tenant


def _since(visit: Visit) -> datetime:
    """From when on an event counts as one of the new sender: as the address says it, at most an hour ago."""
    try:
        asked = datetime.fromisoformat(visit.query("since", limit=40))
    except ValueError:
        return visit.now
    return max(asked, visit.now - RECENT) if asked.tzinfo else visit.now


def _sees(visit: Visit, tenant: str) -> bool:
    visible = visit.visible_tenants()
    return visible is None or tenant in visible


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


ROUTES: Routes = (
    Page("GET", "/sources", listing, Permission.SOURCES_READ),
    Page("GET", "/sources/connect", connect, Permission.SOURCES_READ),
    Page("POST", "/sources/connect", make_token, Permission.SOURCES_MANAGE),
    Page("POST", "/sources/tokens/{token_id}/revoke", revoke, Permission.SOURCES_MANAGE),
    Page("GET", "/sources/{source_id}", detail, Permission.SOURCES_READ),
    Page("POST", "/sources/{source_id}/forget", forget, Permission.SOURCES_MANAGE),
)
