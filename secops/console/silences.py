"""Silences and maintenance windows: what is muted for a while, made, looked at beforehand, and ended early."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from identity.principal import Permission
from secops.alert import maintenance, matchers, queries, silences
from secops.alert.maintenance import Plan
from secops.alert.schedule import Repeat
from secops.api.problems import Forbidden
from secops.console.charts import SHANGHAI
from secops.console.moments import moment
from secops.console.tenants import may_mute, tenant_names
from secops.console.visit import MAX_DIGITS, Page, Routes, member
from secops.errors import UserError

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.alert.silences import Preview
    from secops.console.visit import Visit

HOURS: Final = (1, 2, 4, 8, 24, 72, 168, 720)
WEEKDAYS: Final = range(1, 8)
USUAL: Final = timedelta(hours=2)  # how long a window is unless somebody says otherwise
ANNOUNCED: Final = ("change", "tenant", "reason", "hosts", "from", "to", "repeat", "monthdays", "opens", "closes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A silence as it stands in the form."""

    matching: str = ""  # a matcher a line
    tenant: str = ""
    hours: str = "2"
    starts: str = ""
    reason: str = ""

    @property
    def lines(self) -> list[str]:
        """The matchers."""
        return [line for line in self.matching.splitlines() if line.strip()]


def listing(visit: Visit) -> Response:
    """Every silence, and the form for another; ``?alert=`` fills it in from that alert."""
    number = visit.query("alert", limit=MAX_DIGITS)
    if not (number.isascii() and number.isdigit()):
        return _page(visit, Draft(tenant=_own(visit)), None)
    with visit.service.database.read() as tx:
        alert = queries.get(tx, int(number), tenants=visit.visible_tenants())
        subject = queries.subject_of_record(alert)
    draft = Draft(matching="\n".join(matchers.naming(subject)), tenant=alert.tenant)
    return _page(visit, draft, _preview(visit, draft))


def look(visit: Visit) -> Response:
    """Show what the silence would have muted in the last 24 hours; nothing is stored."""
    draft = _draft(visit)
    _need(visit, draft.tenant)
    try:
        return _page(visit, draft, _preview(visit, draft))
    except UserError as wrong:
        return _page(visit, draft, None, wrong)


def add(visit: Visit) -> Response:
    """Make it."""
    draft = _draft(visit)
    _need(visit, draft.tenant)
    try:
        begin = _moment(draft.starts) if draft.starts else visit.now
        with visit.service.database.begin() as tx:
            silences.add(
                tx,
                tenant=draft.tenant,
                matching=draft.lines,
                starts_at=begin,
                ends_at=begin + timedelta(hours=_hours(draft.hours)),
                reason=draft.reason,
                author=visit.principal.username,
                now=visit.now,
                source_ip=visit.source_ip,
            )
    except UserError as wrong:
        return _page(visit, draft, None, wrong)
    return visit.to("/alerts/silences", "silenced")


def end(visit: Visit) -> Response:
    """End it now."""
    number = visit.number("silence_id")
    with visit.service.database.begin() as tx:
        _need(visit, silences.get(tx, number, tenants=visit.visible_tenants()).tenant)
        silences.end(
            tx,
            number,
            actor=visit.principal.username,
            reason=visit.value("reason"),
            now=visit.now,
            tenants=visit.visible_tenants(),
            source_ip=visit.source_ip,
        )
    return visit.to("/alerts/silences", "unsilenced")


def windows(visit: Visit) -> Response:
    """Every maintenance window, and the form for another."""
    now = visit.now.astimezone(SHANGHAI)
    typed = {"from": f"{now:%Y-%m-%dT%H:%M}", "to": f"{now + USUAL:%Y-%m-%dT%H:%M}", "tenant": _own(visit)}
    return _windows(visit, typed, None)


def _windows(visit: Visit, typed: dict[str, str], wrong: UserError | None) -> Response:
    """The page; after a form that was refused, with the reason and what was typed."""
    with visit.service.database.read() as tx:
        found = maintenance.all(tx, tenants=visit.visible_tenants())
    return visit.page(
        "maintenance.html",
        200 if wrong is None else 400,
        windows=found,
        wrong=wrong,
        typed=typed,
        chosen=visit.values("weekday"),
        names=tenant_names(visit),
        everywhere=visit.visible_tenants() is None,
        weekdays=WEEKDAYS,
        repeats=list(Repeat),
    )


def announce(visit: Visit) -> Response:
    """Announce work."""
    _need(visit, visit.value("tenant", limit=100))
    try:
        plan = _plan(visit)
        with visit.service.database.begin() as tx:
            maintenance.add(tx, plan, author=visit.principal.username, now=visit.now, source_ip=visit.source_ip)
    except UserError as wrong:
        return _windows(visit, {name: visit.value(name) for name in ANNOUNCED}, wrong)
    return visit.to("/alerts/maintenance", "announced")


def _plan(visit: Visit) -> Plan:
    repeat = member(Repeat, visit.value("repeat")) or Repeat.ONCE
    days = (
        visit.values("weekday") if repeat is Repeat.WEEKLY else visit.value("monthdays").replace("，", ",").split(",")
    )
    return Plan(
        tenant=visit.value("tenant", limit=100),
        hosts=visit.value("hosts").replace(",", "\n").splitlines(),
        change=visit.value("change", limit=100),
        reason=visit.value("reason"),
        starts_at=_moment(visit.value("from")),
        ends_at=_moment(visit.value("to")),
        repeat=repeat,
        days=[_day(text) for text in days if text.strip()] if repeat is not Repeat.ONCE else (),
        opens=visit.value("opens", limit=10),
        closes=visit.value("closes", limit=10),
    )


def end_window(visit: Visit) -> Response:
    """End a window now."""
    number = visit.number("window_id")
    tenants = visit.visible_tenants()
    with visit.service.database.begin() as tx:
        _need(visit, maintenance.get(tx, number, tenants=tenants).tenant)
        maintenance.end(
            tx,
            number,
            actor=visit.principal.username,
            reason=visit.value("reason"),
            now=visit.now,
            tenants=tenants,
            source_ip=visit.source_ip,
        )
    return visit.to("/alerts/maintenance", "window-over")


def _page(visit: Visit, draft: Draft, preview: Preview | None, wrong: UserError | None = None) -> Response:
    with visit.service.database.read() as tx:
        found = silences.all(tx, tenants=visit.visible_tenants())
    return visit.page(
        "silences.html",
        200 if wrong is None else 400,
        wrong=wrong,
        silences=found,
        draft=draft,
        preview=preview,
        names=tenant_names(visit),
        everywhere=visit.visible_tenants() is None,
        hours=HOURS,
    )


def _draft(visit: Visit) -> Draft:
    return Draft(
        matching=visit.value("matchers"),
        tenant=visit.value("tenant", limit=100),
        hours=visit.value("hours", "2", limit=5),
        starts=visit.value("from", limit=40),
        reason=visit.value("reason"),
    )


def _preview(visit: Visit, draft: Draft) -> Preview:
    with visit.service.database.read() as tx:
        return silences.preview(
            tx, tenant=draft.tenant, matching=draft.lines, tenants=visit.visible_tenants(), now=visit.now
        )


def _need(visit: Visit, tenant: str) -> None:
    """Let nobody mute what is not his to triage; every tenant at once is for those who see every tenant."""
    if not may_mute(visit, tenant):
        raise Forbidden


def _own(visit: Visit) -> str:
    return "" if visit.visible_tenants() is None else visit.principal.organization_id


def _hours(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4):  # noqa: PLR2004 - 90 days are 2160 hours
        raise UserError("alert.span", "请选择时长。", "Choose how long.")
    return int(text)


def _day(text: str) -> int:
    return int(text.strip()) if text.strip().isascii() and text.strip().isdigit() and len(text.strip()) <= 2 else 0  # noqa: PLR2004 - a day of the month


def _moment(text: str) -> datetime:
    """A browser's ``datetime-local`` value, meant in Shanghai."""
    value = moment(text)
    if value is None:
        raise UserError("alert.span", "请填写开始和结束时间。", "Give the beginning and the end.")
    return value


ROUTES: Routes = (
    Page("GET", "/alerts/silences", listing, Permission.ALERTS_READ),
    Page("POST", "/alerts/silences", add, Permission.ALERTS_TRIAGE),
    Page("POST", "/alerts/silences/preview", look, Permission.ALERTS_TRIAGE),
    Page("POST", "/alerts/silences/{silence_id}/end", end, Permission.ALERTS_TRIAGE),
    Page("GET", "/alerts/maintenance", windows, Permission.ALERTS_READ),
    Page("POST", "/alerts/maintenance", announce, Permission.ALERTS_TRIAGE),
    Page("POST", "/alerts/maintenance/{window_id}/end", end_window, Permission.ALERTS_TRIAGE),
)
