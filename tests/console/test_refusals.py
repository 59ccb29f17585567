"""What somebody tried and was refused for his rights stands in the audit trail, where rules see it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from secops import audit
from secops.audit import AuditRow
from secops.console.refusals import MOST
from tests.console.world import World, form_token, send


def last_refusal(world: World) -> dict[str, Any]:
    with world.service.database.read() as tx:
        row = audit.last(tx, "access.refused")
        return {} if row is None else audit.as_dict(row)


def test_a_form_that_the_role_may_not_send_is_recorded(world: World) -> None:
    servant = world.people["servant"]
    with world.client("servant") as client:
        assert send(client, "/me", f"/people/{servant.account_id}/roles", roles="system_admin").status_code == 403
    row = last_refusal(world)
    assert (row["actor"], row["outcome"], row["reason"]) == ("servant", "failure", "access.denied")
    assert row["target"] == f"/people/{servant.account_id}/roles"


def test_two_administrators_roles_in_one_hand_are_recorded(world: World) -> None:
    target = f"/people/{world.people['servant'].account_id}/roles"
    with world.client("admin") as client:
        answer = send(client, "/me", target, roles=["system_admin", "audit_admin"])
    row = last_refusal(world)
    assert answer.status_code >= 400
    assert (row["actor"], row["target"]) == ("admin", target)
    assert row["reason"] in {"access.denied", "permission.denied", "roles.conflict"}


def test_a_page_that_may_not_be_read_and_a_stranger_s_form_are_not(world: World) -> None:
    with world.service.database.read() as tx:
        before = tx.query(AuditRow).filter_by(action="access.refused").count()
    with world.client("servant") as client:
        assert client.get("/people").status_code == 403
    with world.client() as client:
        assert send(client, "/login", "/people", username="x").status_code == 303
    with world.service.database.read() as tx:
        assert tx.query(AuditRow).filter_by(action="access.refused").count() == before


def test_nobody_can_fill_the_trail_and_the_next_minute_counts_anew(world: World) -> None:
    def rows() -> int:
        with world.service.database.read() as tx:
            return tx.query(AuditRow).filter_by(action="access.refused", actor="inspector").count()

    world.clock.forward(seconds=61)  # what earlier tests of this minute were refused does not count
    before = rows()
    with world.client("inspector") as client:
        token = form_token(client.get("/me"))
        origin = str(client.base_url).rstrip("/")
        for number in range(MOST + 5):
            answer = client.post(f"/people/{number}/reset", data={"form_token": token}, headers={"origin": origin})
            assert answer.status_code == 403
        assert rows() - before == MOST
        assert last_refusal(world)["detail"]["more_may_follow"] is True
        world.clock.forward(seconds=61)
        client.post("/people/1/reset", data={"form_token": token}, headers={"origin": origin})
    assert rows() - before == MOST + 1


MOMENTS = ("0001-01-01T00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59", "9999-12-31T23:59:59-14:00")


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_first_and_the_last_moment_are_no_fault_of_ours(world: World, moment: str) -> None:
    said = quote(moment)
    with world.client("officer") as client:
        for path in (
            f"/events?range=custom&from={said}",
            f"/events?range=custom&to={said}",
            f"/events/export?range=custom&from={said}",
        ):
            assert client.get(path).status_code < 500, path
        for name in ("start", "end"):
            assert client.get(f"/api/v1/events?{name}={said}").status_code < 500, name
        forms: list[tuple[str, str, dict[str, str]]] = [
            ("/evidence", "/evidence", {"kind": "window", "from": moment, "to": "2026-11-24T10:00"}),
            ("/evidence", "/evidence", {"kind": "window", "from": "2026-11-24T10:00", "to": moment}),
            (
                "/alerts/silences",
                "/alerts/silences",
                {"tenant": "city", "matchers": "rule = x", "hours": "720", "from": moment, "reason": "x"},
            ),
            (
                "/alerts/maintenance",
                "/alerts/maintenance",
                {"tenant": "city", "change": "C", "reason": "x", "from": "2026-11-24T10:00", "to": moment},
            ),
            (
                "/alerts/maintenance",
                "/alerts/maintenance",
                {"tenant": "city", "change": "C", "reason": "x", "from": moment, "to": moment},
            ),
        ]
        for page, path, fields in forms:
            answer = send(client, page, path, **fields)
            assert answer.status_code < 500, (path, fields)
