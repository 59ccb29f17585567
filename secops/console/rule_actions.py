"""What a person decides about a rule: for whom it runs, and what it is not to report, each with its reason."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from identity.principal import Permission
from secops import rule_desk
from secops.api.problems import Forbidden, NotFound
from secops.console.charts import SHANGHAI
from secops.console.rules import find, manages, page_of
from secops.console.visit import MAX_DIGITS, Page, Routes
from secops.errors import UserError
from secops.match.overrides import MAX_LENGTH
from secops.rulebook import exceptions

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

EVERYBODY: Final = "*"  # the form's word for every tenant


def switch(visit: Visit) -> Response:
    """Switch the rule on or off for one tenant, or for all."""
    rule, tenant = find(visit), _tenant(visit)
    try:
        rule_desk.set_enabled(
            visit.service,
            rule_id=rule.id,
            tenant=tenant,
            enabled=visit.value("enabled") == "yes",
            reason=visit.value("reason", limit=1000),
            actor=visit.principal.username,
            source_ip=visit.source_ip,
        )
    except UserError as wrong:
        return page_of(visit, rule, wrong=wrong, typed=_typed(visit))
    return visit.to(f"/rules/{rule.id}", "rule")


def add_exception(visit: Visit) -> Response:
    """Except some events from the rule."""
    rule, tenant = find(visit), _tenant(visit)
    try:
        rule_desk.add_exception(
            visit.service,
            rule_id=rule.id,
            tenant=tenant,
            condition=visit.value("condition", limit=MAX_LENGTH + 1),  # never cut to size: it might then except more
            reason=visit.value("reason", limit=1000),
            actor=visit.principal.username,
            expires_at=end_of_day(visit.value("expires", limit=20)),
            source_ip=visit.source_ip,
        )
    except UserError as wrong:
        return page_of(visit, rule, wrong=wrong, typed=_typed(visit))
    return visit.to(f"/rules/{rule.id}", "rule")


def end_exception(visit: Visit) -> Response:
    """End an exception before its time."""
    rule, text = find(visit), visit.part("exception_id")
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise NotFound
    try:
        with visit.service.database.begin() as tx:
            found = exceptions.get(tx, int(text))
            if found.rule_id != rule.id:
                raise NotFound
            _need(visit, found.tenant)
            exceptions.end(
                tx,
                found.id,
                actor=visit.principal.username,
                reason=visit.value("reason", limit=1000),
                now=visit.now,
                source_ip=visit.source_ip,
            )
    except UserError as wrong:
        return page_of(visit, rule, wrong=wrong)
    return visit.to(f"/rules/{rule.id}", "rule")


def end_of_day(text: str) -> datetime | None:
    """The end of a day in Shanghai; None for no day.

    Raises:
        UserError: it is not a date.
    """
    if not text:
        return None
    try:
        chosen = datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007 - a day; its zone is given below
        return datetime.combine(chosen.date() + timedelta(days=1), time(), tzinfo=SHANGHAI)
    except (ValueError, OverflowError):
        raise UserError(
            "exception.expiry", "到期日应写作 2027-01-31。", "Write the last day like 2027-01-31."
        ) from None


def _tenant(visit: Visit) -> str:
    chosen = visit.value("tenant", limit=100)
    if not chosen:
        raise UserError("rule.tenant", "请选择适用的单位。", "Choose the organisation it is about.")
    tenant = "" if chosen == EVERYBODY else chosen
    _need(visit, tenant)
    return tenant


def _need(visit: Visit, tenant: str) -> None:
    if not manages(visit, tenant):
        raise Forbidden


def _typed(visit: Visit) -> dict[str, str]:
    return {name: visit.value(name) for name in ("tenant", "condition", "reason", "expires", "enabled")}


ROUTES: Routes = (
    Page("POST", "/rules/{rule_id}/switch", switch, Permission.RULES_MANAGE),
    Page("POST", "/rules/{rule_id}/exceptions", add_exception, Permission.RULES_MANAGE),
    Page("POST", "/rules/{rule_id}/exceptions/{exception_id}/end", end_exception, Permission.RULES_MANAGE),
)
