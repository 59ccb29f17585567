"""The one place that knows which function runs which role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secops import wiring
from secops.errors import UserError
from secops.settings import ROLES
from secops.supervised import follow_supervisor

if TYPE_CHECKING:
    from secops.settings import Settings


def run_role(role: str, settings: Settings) -> None:
    """Run one role until SIGTERM.

    Raises:
        UserError: there is no such role.
    """
    follow_supervisor()
    with wiring.opened(settings) as service:
        match role:  # imported here, so that a role loads only what it runs
            case "web":
                from secops.worker import web  # noqa: PLC0415

                web.run(service)
            case "ingest":
                from secops.worker import ingest  # noqa: PLC0415

                ingest.run(service)
            case "index":
                from secops.worker import index  # noqa: PLC0415

                index.run(service)
            case "detect":
                from secops.worker import detect  # noqa: PLC0415

                detect.run(service)
            case "jobs":
                from secops.worker import jobs  # noqa: PLC0415

                jobs.run(service)
            case _:
                known = ", ".join(ROLES)
                raise UserError(
                    "role.unknown", f"没有角色 {role!r}；可选：{known}", f"No role {role!r}; choose one of {known}"
                )
