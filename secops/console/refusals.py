"""What somebody tried on a page's form and was refused for his rights: kept in the audit trail, where rules see it.

A page that merely may not be read is no attempt; a form that is sent is one. The trail is never emptied, so nobody may
fill it: of one person it takes ``MOST`` a minute, and the last of them says that more may have come.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from secops import audit
from secops.audit import AuditRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from secops.console.visit import Visit

REFUSED: Final = "access.refused"
RECORDED: Final = frozenset(
    {"access.denied", "permission.denied", "roles.conflict", "roles.contractor", "account.self"}
)

MOST: Final = 10
_NEWEST: Final = 200  # rows looked at


def record(visit: Visit, code: str, why: str) -> None:
    """Append one refused attempt of somebody who is logged in; ``code`` is the refusal's, ``why`` its English text."""
    if visit.session is None or code not in RECORDED:
        return
    with visit.service.database.begin() as tx:
        before = _in_the_last_minute(tx, visit)
        if before >= MOST:
            return
        audit.record(
            tx,
            at=visit.now,
            actor=visit.principal.username,
            action=REFUSED,
            outcome="failure",
            target=visit.request.url.path,
            reason=code,
            source_ip=visit.source_ip,
            detail={"why": why[:300], "more_may_follow": before + 1 == MOST},
        )


def _in_the_last_minute(tx: Session, visit: Visit) -> int:
    """How many refusals of this person stand in the trail since a minute ago."""
    newest = sa.select(AuditRow.actor, AuditRow.at).where(AuditRow.action == REFUSED).order_by(AuditRow.id.desc())
    since = visit.now - timedelta(minutes=1)
    return sum(actor == visit.principal.username and at > since for actor, at in tx.execute(newest.limit(_NEWEST)))
