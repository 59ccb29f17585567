"""Writing a rule: read it, try it over past events, put it in force as a new version, take it out again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from identity.principal import Permission
from secops.api.problems import Forbidden, NotFound
from secops.console import labels, previews, rule_versions
from secops.console.rule_list import known
from secops.console.rules import find, manages, source_text
from secops.console.visit import Page, Routes
from secops.errors import UserError
from secops.rulebook import drafts

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit
    from secops.match.rule import Refusal, Rule

RANGES: Final = ("1h", "24h", "7d", "30d")
MOST_HOURS: Final = 24 * 31
MOST_TEXT: Final = 20_000  # characters
TEMPLATE: Final = """\
title:
title_zh:
id: {id}
status: experimental
description:
description_zh:
author: {author}
date: {date:%Y-%m-%d}
logsource:
  product: linux
  service: sshd
detection:
  selection:
    event.action: ssh_login
    event.outcome: failure
  condition: selection
falsepositives: []
level: medium
tags: []
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What stands in the editor."""

    text: str
    range: str = "24h"
    reason: str = ""
    refused: tuple[Refusal, ...] = ()
    wrong: UserError | None = None
    preview: dict[str, Any] | None = None
    job: str = ""
    start: datetime | None = None  # of the trial
    end: datetime | None = None


def new(visit: Visit) -> Response:
    """The editor, with a template or with a rule's text to begin from."""
    text = TEMPLATE.format(id=uuid.uuid4(), author=visit.principal.username, date=visit.now)
    wanted, version = visit.query("from", limit=200), visit.query("version", limit=9)
    if wanted and version:
        text = rule_versions.text_of(visit, wanted, version)
    elif wanted:
        rule = known(visit, wanted)
        if rule is None:
            raise NotFound
        text = source_text(rule) + "\n"
    return _page(visit, Draft(text=text))


def preview(visit: Visit) -> Response:
    """Begin to try the text over past events; the page of the trial shows how far it is."""
    text, chosen = _text(visit), visit.value("range")
    chosen = chosen if chosen in RANGES else "24h"
    rule, refused = visit.service.read_draft(text)
    if rule is None:
        return _page(visit, Draft(text=text, range=chosen, refused=refused))
    start = visit.now - timedelta(minutes=labels.RANGES[chosen][1])
    job = _previews(visit).start(
        visit.service.settings,
        previews.Wanted(
            account_id=visit.principal.account_id,
            organization=visit.principal.organization_id,
            text=text,
            range=chosen,
            tenants=visit.visible_tenants(),
            start=start,
            end=visit.now,
        ),
    )
    return visit.to(f"/rules/preview/{job}")


def trial(visit: Visit) -> Response:
    """A trial under way or done, with the editor below it."""
    job = visit.part("job")[:64]
    found = _previews(visit).read(job, visit.principal.account_id)
    if found is None:
        raise NotFound
    wanted, said = found
    return _page(
        visit, Draft(text=wanted.text, range=wanted.range, preview=said, job=job, start=wanted.start, end=wanted.end)
    )


def publish(visit: Visit) -> Response:
    """Keep the text as a new version and put it in force."""
    text, reason = _text(visit), visit.value("reason", limit=1000)
    rule, refused = visit.service.read_draft(text)
    if rule is None:
        return _page(visit, Draft(text=text, reason=reason, refused=refused))
    _need(visit, rule)
    standing = next((one for one in visit.service.rules.rules if one.id == rule.id), None)
    if standing is not None:
        _need(visit, standing)
    else:
        _need_earlier(visit, rule)
    try:
        _own_id(visit, standing)
        _save(visit, rule, text, reason)
    except UserError as wrong:
        return _page(visit, Draft(text=text, reason=reason, wrong=wrong))
    return visit.to(f"/rules/{rule.id}", "rule_published")


def withdraw(visit: Visit) -> Response:
    """Take a rule written here out of force."""
    rule = find(visit)
    _need(visit, rule)
    service = visit.service
    with service.database.begin() as tx:
        drafts.withdraw(
            tx,
            service.console_rules_dir,
            rule_id=rule.id,
            actor=visit.principal.username,
            reason=visit.value("reason", limit=1000),
            now=visit.now,
            source_ip=visit.source_ip,
        )
    service.refresh_rules()
    return visit.to("/rules", "rule_withdrawn")


def _text(visit: Visit) -> str:
    """The rule's text, whole: cut off in the middle it might still be a rule, and mean something else.

    Raises:
        UserError: it is longer than the editor takes.
    """
    text = visit.value("text", limit=MOST_TEXT + 1)
    if len(text) > MOST_TEXT:
        raise UserError(
            "draft.long",
            f"规则正文超过 {MOST_TEXT} 个字符；请拆分，或放入规则目录。",
            f"The text has more than {MOST_TEXT} characters; make several rules of it, or put it into a folder of rules.",
        )
    return text


def _page(visit: Visit, draft: Draft) -> Response:
    bad = draft.refused or draft.wrong
    found = (draft.preview or {}).get("found", {})
    hours = _hours(found["by_hour"], draft.start, draft.end) if found.get("hits") and draft.start and draft.end else []
    return visit.page("rule_editor.html", 400 if bad else 200, draft=draft, ranges=RANGES, hours=hours)


def _hours(counted: dict[str, int], start: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """Every hour of the span, those without a hit too."""
    known = {datetime.fromisoformat(hour): number for hour, number in counted.items()}
    first, hour = start.replace(minute=0, second=0, microsecond=0), timedelta(hours=1)
    count = min(int((end - first) / hour) + 1, MOST_HOURS)
    return [(first + hour * at, known.get(first + hour * at, 0)) for at in range(count)]


def _save(visit: Visit, rule: Rule, text: str, reason: str) -> None:
    service = visit.service
    said: dict[str, Any] = {
        "actor": visit.principal.username, "reason": reason, "now": visit.now, "source_ip": visit.source_ip,
    }  # fmt: skip
    with service.database.begin() as tx:
        version = drafts.save(tx, rule_id=rule.id, text=text + "\n", **said)
        drafts.publish(tx, service.console_rules_dir, rule_id=rule.id, version=version.version, **said)
    service.refresh_rules()


def _own_id(visit: Visit, standing: Rule | None) -> None:
    """A text of the editor replaces only what came from the editor."""
    if standing is None:
        return
    if not standing.info.source.startswith(f"{visit.service.console_rules_dir}/"):
        raise UserError(
            "draft.taken",
            f"编号 {standing.id} 已属于规则文件 {standing.info.source}；请换一个新的 id，或为原规则添加例外。",
            f"id {standing.id} belongs to the rule file {standing.info.source}; give a new id, or add an exception there.",
        )


def _need(visit: Visit, rule: Rule) -> None:
    """Deciding about a rule needs the right for every tenant it runs for; for all of them it is the city's."""
    if not all(manages(visit, tenant) for tenant in rule.info.tenants or ("",)):
        raise Forbidden


def _need_earlier(visit: Visit, rule: Rule) -> None:
    """An id that was used here before stays with those it was used for, in force or not; unreadable ones are the city's."""
    with visit.service.database.read() as tx:
        known = drafts.versions(tx, rule.id)
    if not known:
        return
    before, _ = visit.service.read_draft(known[0].text)
    if before is not None:
        _need(visit, before)
    elif not manages(visit, ""):
        raise Forbidden


def _previews(visit: Visit) -> previews.Previews:
    found: previews.Previews = visit.request.app.state.previews
    return found


ROUTES: Routes = (
    Page("GET", "/rules/new", new, Permission.RULES_MANAGE),
    Page("POST", "/rules/preview", preview, Permission.EVENTS_READ),
    Page("GET", "/rules/preview/{job}", trial, Permission.EVENTS_READ),
    Page("POST", "/rules/publish", publish, Permission.RULES_MANAGE),
    Page("POST", "/rules/{rule_id}/withdraw", withdraw, Permission.RULES_MANAGE),
)
