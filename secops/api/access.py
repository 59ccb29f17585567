"""Who may use an endpoint of the API: the permission stands in the route itself, as a dependency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Depends, Request

from identity.principal import ANYWHERE, Permission, Principal, Resource, can
from secops.api.problems import Forbidden
from secops.api.session import need_session

if TYPE_CHECKING:
    from datetime import datetime

    from secops.wiring import Service


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, the service to answer with, and the moment of the call."""

    principal: Principal
    service: Service
    now: datetime

    def visible_tenants(self) -> frozenset[str] | None:
        """Whose data lists may show; None for everybody's."""
        return self.service.identity.visible_tenants(self.principal)

    def tenant(self, tenant: str, assignee: str = "") -> Resource:
        """The resource of an organisation's thing."""
        return Resource(organization_path=self.service.identity.path(tenant), assignee=assignee)

    def need(self, permission: Permission, resource: Resource = ANYWHERE) -> None:
        """Go on only if the caller may.

        Raises:
            Forbidden: he may not.
        """
        decision = can(self.principal, permission, resource)
        if not decision:
            raise Forbidden(decision.reason)


def require(permission: Permission) -> Any:  # noqa: ANN401 - FastAPI's marker has no type of its own
    """A dependency that gives the ``Caller``, or answers 401 or 403."""

    def caller(request: Request) -> Caller:
        principal = need_session(request).principal
        decision = can(principal, permission)
        if not decision:
            raise Forbidden(decision.reason)
        service = request.app.state.service
        return Caller(principal, service, service.clock())

    return Depends(caller)
