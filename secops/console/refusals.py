"""What somebody tried on a page's form and was refused for his rights: kept in the audit trail, where rules see it.

A page that merely may not be read is no attempt; a form that is sent is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops import audit

if TYPE_CHECKING:
    from secops.console.visit import Visit

REFUSED: Final = "access.refused"
RECORDED: Final = frozenset(
    {"access.denied", "permission.denied", "roles.conflict", "roles.contractor", "account.self"}
)


def record(visit: Visit, code: str, why: str) -> None:
    """Append one refused attempt of somebody who is logged in; ``code`` is the refusal's, ``why`` its English text."""
    if visit.session is None or code not in RECORDED:
        return
    with visit.service.database.begin() as tx:
        audit.record(
            tx,
            at=visit.now,
            actor=visit.principal.username,
            action=REFUSED,
            outcome="failure",
            target=visit.request.url.path,
            reason=code,
            source_ip=visit.source_ip,
            detail={"why": why[:300]},
        )
