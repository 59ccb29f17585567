"""What the collectors say of themselves, for the page of sources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Gathering:
    """One collector: whether it gathers, and its own words about it."""

    name: str
    kind: str
    tenant: str  # "" of one whose settings are wrong: it was never made
    ok: bool
    zh: str
    en: str


def gathering(said: Mapping[str, Any], visible: frozenset[str] | None) -> list[Gathering]:
    """The collectors of ``visible`` tenants (None: all), those in trouble first; ``said`` is the ingest role's report."""
    collectors, errors = said.get("collectors", {}), said.get("errors", {})
    found = []
    for name, one in collectors.items():
        why = errors.get(name)
        tenant, ok = str(one.get("tenant", "")), bool(one.get("ok"))
        found.append(Gathering(name, one["kind"], tenant, ok, why or one["zh"], why or one["en"]))
    found += [Gathering(name, "", "", False, why, why) for name, why in errors.items() if name not in collectors]
    seen = [one for one in found if visible is None or one.tenant in visible]
    return sorted(seen, key=lambda one: (one.ok, one.name))
