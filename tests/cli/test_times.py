from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from secops.cli.times import read_when
from secops.errors import UserError

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ahead", "wanted"),
    [
        ("2h", False, NOW - timedelta(hours=2)),
        ("30d", True, NOW + timedelta(days=30)),
        ("2026-12-31", False, datetime(2026, 12, 30, 16, tzinfo=UTC)),  # Beijing's midnight
        ("2026-12-31", True, datetime(2026, 12, 31, 16, tzinfo=UTC)),  # the last day, whole
        ("2026-12-31T09:00", True, datetime(2026, 12, 31, 1, tzinfo=UTC)),
        ("2026-12-31T09:00Z", True, datetime(2026, 12, 31, 9, tzinfo=UTC)),
    ],
)
def test_days_times_and_spans(text: str, *, ahead: bool, wanted: datetime) -> None:
    assert read_when(text, NOW, ahead=ahead) == wanted


def test_anything_else_is_refused_with_the_form_to_use() -> None:
    for text in ("soon", "", "2026-13-01", "5w"):
        with pytest.raises(UserError, match="2026-11-24T22:00"):
            read_when(text, NOW)
