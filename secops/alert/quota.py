"""Alerts on tenants that send more than their quota."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from secops.alert.group import raise_alerts
from secops.records import Level, Match, RuleInfo

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

QUOTA_RULE: Final = RuleInfo(
    id="secops-tenant-over-quota",
    title="An organisation sends more than its quota and is slowed",
    title_zh="某单位上报量超过配额，已被限速",
    level=Level.MEDIUM,
    tags=("secops.self",),
    runbook="tenant-quota.md",
    group_by=("organization.id",),
    window=timedelta(hours=1),
)


def raise_for_quota(tx: Session, tenant: str, *, slowed: int, dropped: int, now: datetime) -> None:
    """Raise an alert for a tenant: ``slowed`` submissions had to wait, ``dropped`` datagrams were not taken."""
    match = Match(
        tenant=tenant,
        rule_id=QUOTA_RULE.id,
        at=now,
        event_ids=(),
        group=(("organization.id", tenant),),
        fields={"secops.quota.slowed": slowed, "secops.quota.dropped": dropped},
    )
    raise_alerts(tx, [match], {QUOTA_RULE.id: QUOTA_RULE}, now)
