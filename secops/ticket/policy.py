"""Which alert becomes a ticket, at which service, with which priority: ordered rules from rules/ticket/*.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from secops.records import Alert
    from secops.ticket.services import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the policy says about an alert, and which of its rules said so."""

    service: str
    priority: int
    rule: str  # the policy rule's name, or "default"
    duties: tuple[str, ...] = ()  # statutory duties that begin with the ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Ordered rules over a catalogue."""

    catalogue: Catalogue

    def decide(self, alert: Alert) -> Decision | None:
        """Give the first rule's answer; None when the alert opens no ticket."""
        raise NotImplementedError


def load_policy(paths: Sequence[Path], catalogue: Catalogue) -> Policy:
    """Read policy files in the order of their names.

    Raises:
        UserError: ``policy.file``: the text names file, line and reason.
    """
    raise NotImplementedError
