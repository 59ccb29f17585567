from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from secops import audit
from secops.db import Database
from secops.errors import UserError
from secops.store import retention, retention_rules
from secops.store.retention import LEGAL_DAYS, Retention, TooShort

NOW = datetime(2027, 1, 1, tzinfo=UTC)
TENANTS = ("a", "b", "c")

days = st.integers(min_value=-10, max_value=900)
moments = st.integers(min_value=0, max_value=900).map(lambda ago: (NOW - timedelta(days=ago)).isoformat())
shares = st.dictionaries(st.sampled_from(TENANTS), moments.map(lambda until: [1, 10, until, until]), max_size=3)
segments = st.lists(st.tuples(shares, moments), max_size=8)
rules = st.builds(Retention, days, st.dictionaries(st.sampled_from(TENANTS), days))


@given(segments, rules)
def test_nothing_leaves_before_the_law_and_its_tenants_allow_it(found: list[Any], kept: Retention) -> None:
    gone = retention.leaving(found, kept, NOW)
    for (tenants, sealed_at), since in zip(found, gone, strict=False):
        assert since <= NOW
        for tenant, (_, _, _, until) in tenants.items():
            age = NOW - datetime.fromisoformat(until)
            assert age >= timedelta(days=LEGAL_DAYS)
            assert age >= timedelta(days=kept.by_tenant.get(tenant, kept.days))
        if not tenants:
            assert NOW - datetime.fromisoformat(sealed_at) >= timedelta(days=LEGAL_DAYS)


@given(segments, rules)
def test_what_may_leave_leaves_up_to_the_first_that_may_not(found: list[Any], kept: Retention) -> None:
    gone = len(retention.leaving(found, kept, NOW))
    if gone < len(found):
        assert retention.leaves_at(*found[gone], kept) > NOW


@given(segments, rules, st.sampled_from(TENANTS), st.integers(min_value=0, max_value=400))
def test_longer_retention_never_lets_more_leave(found: list[Any], kept: Retention, tenant: str, more: int) -> None:
    own = kept.by_tenant.get(tenant, kept.days)
    longer = Retention(kept.days, {**kept.by_tenant, tenant: own + more})
    assert len(retention.leaving(found, longer, NOW)) <= len(retention.leaving(found, kept, NOW))


@pytest.mark.parametrize("number", [-1, 0, 183, 36_501])
def test_less_than_six_months_is_refused(number: int) -> None:
    with pytest.raises(TooShort, match="184") as refused:
        retention.check_days(number)
    assert "《网络安全法》" in refused.value.zh


@given(st.integers(min_value=1970, max_value=2400), st.integers(min_value=1, max_value=12))
def test_the_legal_days_cover_any_six_months(year: int, month: int) -> None:
    start = datetime(year, month, 1, tzinfo=UTC)
    later = datetime(year + (month + 5) // 12, (month + 5) % 12 + 1, 1, tzinfo=UTC)
    assert later - start <= timedelta(days=LEGAL_DAYS)


def test_decisions_are_audited_and_the_last_one_counts(database: Database) -> None:
    with database.begin() as tx:
        for number in (400, 200):
            retention_rules.decide(tx, tenant="a", days=number, reason="审计要求", actor="ada", now=NOW)
        retention_rules.decide(tx, tenant="b", days=365, reason="r", actor="ada", now=NOW)
    with database.read() as tx:
        kept = retention_rules.retention(tx, 184)
        assert [(kept.of(tenant).days) for tenant in TENANTS] == [200, 365, 184]
        assert [row.detail for row in audit.about(tx, ["retention:a"])] == [{"days": 400}, {"days": 200}]
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), database.begin() as tx:
        tx.execute(sa.text("UPDATE retention_rules SET days = 1"))


@pytest.mark.parametrize(("tenant", "number", "reason"), [("a", 30, "r"), ("", 200, "r"), ("a", 200, " ")])
def test_a_decision_needs_a_tenant_a_lawful_span_and_a_reason(
    database: Database, tenant: str, number: int, reason: str
) -> None:
    with pytest.raises(UserError), database.begin() as tx:
        retention_rules.decide(tx, tenant=tenant, days=number, reason=reason, actor="a", now=NOW)
    with database.read() as tx:
        assert retention_rules.in_force(tx) == []
