"""The one error of evidence packs."""

from __future__ import annotations

from secops.errors import UserError


class EvidenceError(UserError):
    """A pack cannot be built from this."""
