"""Evidence packs: build one for an alert, a ticket or a stretch of time; list and download them, with the verifier."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import FileResponse, Response

from identity.principal import Permission
from secops import audit, pipeline
from secops.alert import queries
from secops.api.problems import NotFound, problem_of
from secops.console.moments import moment
from secops.console.visit import Page, Routes
from secops.errors import UserError
from secops.evidence import stamp
from secops.ticket import desk

if TYPE_CHECKING:
    from pathlib import Path

    from secops.console.visit import Visit

NAME: Final = re.compile(
    r"(?P<tenant>[a-z0-9-]{1,40})_(?P<case>[a-z]+-[0-9]+)_(?P<at>[0-9]{8}T[0-9]{6}Z)\.zip", re.ASCII
)
SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Kept:
    """A pack in the folder; its name says whose it is and what it is about."""

    name: str
    tenant: str
    case: str
    built_at: datetime
    size: int


def listing(visit: Visit) -> Response:
    """Packs of the visitor's tenants, newest first, and the form for a new one."""
    return _page(visit, alert=visit.query("alert"), ticket=visit.query("ticket"))


def _page(visit: Visit, *, alert: str = "", ticket: str = "", wrong: UserError | None = None) -> Response:
    code = 200 if wrong is None else problem_of(wrong, "").status
    return visit.page("evidence.html", code, packs=_packs(visit)[:SHOWN], alert=alert, ticket=ticket, wrong=wrong)


def build(visit: Visit) -> Response:
    """Build a pack for one alert, one ticket, or a stretch of time of the visitor's organisation."""
    try:
        return _build(visit)
    except UserError as wrong:  # said beside the form, which keeps what was typed
        kind, typed = visit.value("kind"), visit.value("id", limit=18)
        return _page(
            visit, alert=typed if kind == "alert" else "", ticket=typed if kind == "ticket" else "", wrong=wrong
        )


def _build(visit: Visit) -> Response:
    case, tenant, chosen = _case(visit)
    visit.need(Permission.EVIDENCE_BUILD, visit.tenant(tenant))
    folder = visit.service.evidence_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{tenant}_{case}_{visit.now.astimezone(UTC):%Y%m%dT%H%M%SZ}.zip"
    pipeline.build_pack(
        visit.service,
        out=folder / name,
        actor=visit.principal.username,
        tenants=visit.visible_tenants(),
        source_ip=visit.source_ip,
        **chosen,
    )
    return visit.to("/evidence", "pack")


def download(visit: Visit) -> Response:
    """One pack; audited, as it leaves the house."""
    name = visit.part("name")
    pack = next((one for one in _packs(visit) if one.name == name), None)
    if pack is None:
        raise NotFound
    with visit.service.database.begin() as tx:
        audit.record(
            tx,
            at=visit.now,
            actor=visit.principal.username,
            action="evidence.download",
            target=pack.name,
            tenant=pack.tenant,
            source_ip=visit.source_ip,
        )
    return FileResponse(visit.service.evidence_dir / pack.name, media_type="application/zip", filename=pack.name)


def verifier(visit: Visit) -> Response:
    """The verifier: one file of plain Python, stamped with this installation's root, so that it needs no argument."""
    body = stamp.verifier([visit.service.authority.root_fingerprint()])
    headers = {"Content-Disposition": 'attachment; filename="verify.py"'}
    return Response(body, media_type="text/x-python", headers=headers)


def _case(visit: Visit) -> tuple[str, str, dict[str, Any]]:
    """What the form asks for: the case's name, whose it is, and the arguments for the pipeline."""
    kind, text = visit.value("kind"), visit.value("id", limit=18)
    visible = visit.visible_tenants()
    if kind in {"alert", "ticket"} and not (text.isascii() and text.isdigit()):
        raise UserError("evidence.case", "请填写告警或工单的编号。", "Give the number of the alert or ticket.")
    if kind == "alert":
        with visit.service.database.read() as tx:
            return f"alert-{int(text)}", queries.get(tx, int(text), tenants=visible).tenant, {"alert_id": int(text)}
    if kind == "ticket":
        with visit.service.database.read() as tx:
            return f"ticket-{int(text)}", desk.get(tx, int(text), tenants=visible).tenant, {"ticket_id": int(text)}
    start, end = moment(visit.value("from")), moment(visit.value("to"))
    if kind != "window" or start is None or end is None or start >= end:
        raise UserError(
            "evidence.window", "请填写起止时间，且开始早于结束。", "Give both times, the first before the second."
        )
    own = visit.principal.organization_id
    return f"window-{int(start.timestamp())}", own, {"start": start, "end": end}


def _packs(visit: Visit) -> list[Kept]:
    visible = visit.visible_tenants()
    kept = [pack for path in visit.service.evidence_dir.glob("*.zip") if (pack := _kept(path)) is not None]
    mine = [pack for pack in kept if visible is None or pack.tenant in visible]
    return sorted(mine, key=lambda pack: pack.built_at, reverse=True)


def _kept(path: Path) -> Kept | None:
    """A pack of ours by its name; a foreign file in the folder is not offered."""
    found = NAME.fullmatch(path.name)
    if found is None:
        return None
    at = datetime.strptime(found["at"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return Kept(path.name, found["tenant"], found["case"], at, path.stat().st_size)


ROUTES: Routes = (
    Page("GET", "/evidence", listing, Permission.EVIDENCE_READ),
    Page("POST", "/evidence", build, Permission.EVIDENCE_BUILD),
    Page("GET", "/evidence/verify.py", verifier, Permission.EVIDENCE_READ),
    Page("GET", "/evidence/{name}", download, Permission.EVIDENCE_READ),
)
