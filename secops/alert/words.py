"""What silences and maintenance windows check alike: a person's words, and a span of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.errors import UserError

if TYPE_CHECKING:
    from datetime import datetime, timedelta

TEXT: Final = 1000  # characters of a reason


def clean(text: str) -> str:
    """Bound a person's text and take out NUL, which PostgreSQL refuses."""
    return text.replace("\x00", "").strip()[:TEXT]


def reason_needed(text: str) -> str:
    """Give the cleaned reason.

    Raises:
        UserError: ``alert.reason``: there is none.
    """
    if not (said := clean(text)):
        raise UserError("alert.reason", "须写明原因。", "a reason is needed")
    return said


def span_checked(starts_at: datetime, ends_at: datetime, now: datetime, longest: timedelta) -> None:
    """Refuse a span that is empty, over, or too long.

    Raises:
        UserError: ``alert.span``.
    """
    if ends_at <= starts_at or ends_at <= now:
        raise UserError(
            "alert.span",
            "结束时间须晚于开始时间，且不能已经过去。",
            "the end must come after the beginning, and not be past",
        )
    if ends_at - starts_at > longest:
        raise UserError(
            "alert.span",
            f"最长 {longest.days} 天，到期后可以再建。",
            f"{longest.days} days at most; make another when it ends",
        )
