"""Room in a queue: bounded, and parted among the tenants that have something waiting. Pure arithmetic; the unit is the caller's."""

from __future__ import annotations

from collections import Counter


class Room:
    """How much waits, of whom, and who may put more."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._by_tenant: Counter[str] = Counter()

    def is_open(self, tenant: str) -> bool:
        """Whether a submission of any size is taken: one that has nothing waiting always finds room."""
        mine = self._by_tenant.get(tenant, 0)
        return not mine or (mine < self._share(tenant) and self.used < self.limit)

    def fits(self, tenant: str, more: int) -> bool:
        """Whether ``more`` is taken, to the letter; who has nothing waiting finds room in a full queue, at most once over."""
        mine = self._by_tenant.get(tenant, 0)
        most = self.limit if mine or not self.used else 2 * self.limit
        return (not mine or mine + more <= self._share(tenant)) and self.used + more <= most

    def put(self, tenant: str, more: int) -> None:
        """Note that ``more`` of the tenant waits."""
        self._by_tenant[tenant] += more
        self.used += more

    def take(self, tenant: str, less: int) -> None:
        """Note that ``less`` of the tenant no longer waits."""
        self._by_tenant[tenant] -= less
        self.used -= less
        if not self._by_tenant[tenant]:
            del self._by_tenant[tenant]

    def _share(self, tenant: str) -> int:
        return max(1, self.limit // (len(self._by_tenant) + (tenant not in self._by_tenant)))
