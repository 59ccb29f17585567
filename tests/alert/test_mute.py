"""Which alerts are muted, and why: every stage by example, and what must hold whatever the order and the moment."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.alert.matchers import Subject, read
from secops.alert.mute import SELF, Inhibition, Maintenance, Silence, Sources, Standing, decide
from secops.alert.schedule import SHANGHAI, Repeat, Schedule, opening
from secops.records import Level

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def subject(
    rule: str = "ssh",
    tenant: str = "city",
    level: Level = Level.MEDIUM,
    ip: str = "10.0.0.1",
    host: str = "web-01",
    tags: tuple[str, ...] = (),
) -> Subject:
    return Subject(
        rule_id=rule, tenant=tenant, level=level, severity=level, tags=tags, group={"source.ip": ip}, hosts=(host,)
    )


def silence(
    number: int = 1, *matchers: str, tenant: str = "", start: datetime = NOW, end: datetime = NOW + HOUR
) -> Silence:
    read_ = tuple(read(text) for text in matchers or ("rule = ssh",))
    return Silence(id=number, tenant=tenant, matchers=read_, starts_at=start, ends_at=end, reason="演练", author="wang")


def window(number: int = 1, *hosts: str, tenant: str = "", schedule: Schedule | None = None) -> Maintenance:
    schedule = schedule or Schedule(starts_at=NOW, ends_at=NOW + HOUR)
    return Maintenance(
        id=number, tenant=tenant, hosts=hosts, change="BG-7", schedule=schedule, reason="升级", author="li"
    )


INHIBITION = Inhibition(
    name="taken-over",
    source=(read("rule = success"),),
    target=(read("rule ~ ssh*"),),
    equal=("host.name", "source.ip"),
    within=HOUR,
    zh="已失陷",
    en="taken over",
)


def stands(number: int = 9, seen: datetime = NOW, **of: object) -> Standing:
    source = subject(**{"rule": "success", "level": Level.CRITICAL, **of})  # type: ignore[arg-type]
    return Standing(id=number, title="SSH login", title_zh="登录成功", last_seen=seen, subject=source)


def test_a_silence_mutes_what_its_matchers_hold_of_and_says_who_and_why() -> None:
    muted = decide(subject(), NOW, [silence()])
    assert muted is not None
    assert (muted.kind, muted.by) == ("silence", "silence:1")
    assert "wang" in muted.zh
    assert "演练" in muted.zh
    assert "17:00" in muted.en, "the end, in Shanghai"
    assert decide(subject("other"), NOW, [silence()]) is None
    assert decide(subject(), NOW, [silence(1, "rule = ssh", "source.ip = 10.9.9.9")]) is None, "all matchers must hold"


def test_a_silence_of_one_tenant_leaves_the_others_alone() -> None:
    assert decide(subject(tenant="north"), NOW, [silence(tenant="north")]) is not None
    assert decide(subject(tenant="city"), NOW, [silence(tenant="north")]) is None


@given(st.integers(-7200, 7200))
def test_a_silence_holds_from_its_start_to_just_before_its_end(second: int) -> None:
    found = decide(subject(), NOW + timedelta(seconds=second), [silence()])
    assert (found is not None) is (0 <= second < 3600)


def test_maintenance_is_on_hosts_and_an_alert_without_a_host_is_on_none() -> None:
    assert decide(subject(), NOW, (), [window(1, "web-*")]).by == "maintenance:1"  # type: ignore[union-attr]
    assert "BG-7" in decide(subject(), NOW, (), [window(1, "WEB-01")]).zh  # type: ignore[union-attr]
    assert decide(subject(host="db-01"), NOW, (), [window(1, "web-*")]) is None
    nowhere = Subject(rule_id="ssh", tenant="city", level=Level.LOW, severity=Level.LOW)
    assert decide(nowhere, NOW, (), [window(1, "*")]) is None
    assert decide(nowhere, NOW, (), [window(1)]) is not None, "a window without hosts is the whole tenant's"


def test_a_graver_standing_alert_mutes_lesser_ones_of_the_same_fields() -> None:
    muted = decide(subject(), NOW, (), (), Sources([INHIBITION], [stands()]))
    assert muted is not None
    assert (muted.kind, muted.by) == ("inhibition", "inhibition:taken-over")
    assert "#9" in muted.zh


@pytest.mark.parametrize(
    "source",
    [
        stands(ip="10.0.0.2"),
        stands(host="web-02"),
        stands(tenant="north"),
        stands(rule="other"),
        stands(level=Level.MEDIUM),  # no graver than the target
        stands(seen=NOW - HOUR),  # too long ago: the end is not inside
    ],
)
def test_nothing_else_inhibits(source: Standing) -> None:
    assert decide(subject(), NOW, (), (), Sources([INHIBITION], [source])) is None


def test_a_field_that_one_of_the_two_lacks_is_not_the_same() -> None:
    bare = Subject(rule_id="ssh", tenant="city", level=Level.LOW, severity=Level.LOW, group={"source.ip": "10.0.0.1"})
    other = Subject(
        rule_id="success", tenant="city", level=Level.CRITICAL, severity=Level.CRITICAL, group={"source.ip": "10.0.0.1"}
    )
    source = Standing(id=1, title="s", title_zh="", last_seen=NOW, subject=other)
    assert decide(bare, NOW, (), (), Sources([INHIBITION], [source])) is None


def test_a_critical_alert_of_the_service_itself_is_never_muted() -> None:
    everything = ([silence(1, "rule ~ *")], [window(1)], Sources([INHIBITION], [stands()]))
    own = subject(level=Level.CRITICAL, tags=(SELF,))
    assert decide(own, NOW, *everything) is None
    assert decide(subject(level=Level.HIGH, tags=(SELF,)), NOW, *everything) is not None
    assert decide(subject(level=Level.CRITICAL), NOW, *everything) is not None


silences_ = st.builds(
    lambda number, rule, start, hours: silence(
        number, f"rule = {rule}", start=NOW + timedelta(hours=start), end=NOW + timedelta(hours=start + hours)
    ),
    st.integers(1, 9),
    st.sampled_from(["ssh", "web"]),
    st.integers(-3, 3),
    st.integers(1, 3),
)
windows_ = st.builds(window, st.integers(1, 9), st.sampled_from(["web-*", "db-*"]))
standing_ = st.builds(
    lambda number, ip, level: stands(number, ip=ip, level=level),
    st.integers(1, 9),
    st.sampled_from(["10.0.0.1", "10.0.0.2"]),
    st.sampled_from(list(Level)),
)
subjects = st.builds(
    lambda rule, host, level: subject(rule, host=host, level=level),
    st.sampled_from(["ssh", "web"]),
    st.sampled_from(["web-01", "db-01"]),
    st.sampled_from(list(Level)),
)


@given(
    subjects,
    st.lists(silences_, max_size=5, unique_by=lambda one: one.id),
    st.lists(windows_, max_size=4, unique_by=lambda one: one.id),
    st.lists(standing_, max_size=4, unique_by=lambda one: one.id),
    st.randoms(use_true_random=False),
)
def test_the_order_of_silences_windows_and_standing_alerts_does_not_matter(
    about: Subject, silences: list[Silence], windows: list[Maintenance], standing: list[Standing], random: object
) -> None:
    said = decide(about, NOW, silences, windows, Sources([INHIBITION], standing))
    for each in (silences, windows, standing):
        random.shuffle(each)  # type: ignore[attr-defined]
    assert decide(about, NOW, silences, windows, Sources([INHIBITION], standing)) == said


@given(subjects, st.lists(standing_, max_size=6, unique_by=lambda one: one.id))
def test_inhibition_agrees_with_looking_at_every_standing_alert(about: Subject, standing: list[Standing]) -> None:
    explains = any(
        one.subject.severity.rank > about.severity.rank
        and one.subject.group == about.group
        and set(one.subject.hosts) & set(about.hosts)
        for one in standing
    )
    found = decide(about, NOW, (), (), Sources([INHIBITION], standing))
    assert (found is not None) is (explains and about.rule_id == "ssh")


@given(subjects, st.lists(silences_, max_size=5), silences_)
def test_looking_only_at_silences_that_may_hold_changes_nothing(
    about: Subject, silences: list[Silence], another: Silence
) -> None:
    near = [one for one in [*silences, another] if one.may_hold(about)]
    assert decide(about, NOW, near) == decide(about, NOW, [*silences, another])


@given(subjects, st.lists(silences_, max_size=5), silences_)
def test_another_silence_never_unmutes(about: Subject, silences: list[Silence], another: Silence) -> None:
    if decide(about, NOW, silences) is not None:
        assert decide(about, NOW, [*silences, another]) is not None


def local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=SHANGHAI)


NIGHTLY = Schedule(  # Saturday nights (28 November is one), over midnight
    starts_at=local(1, 0), ends_at=local(30, 0), repeat=Repeat.WEEKLY, days=(6,), opens=time(22), closes=time(2)
)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (local(28, 21, 59), False),
        (local(28, 22), True),
        (local(29, 1, 59), True),
        (local(29, 2), False),
        (local(29, 22), False),
        (local(27, 22), False),
        (local(28, 1), False),
    ],
)
def test_a_weekly_window_over_midnight_is_in_shanghai_time(at: datetime, *, is_open: bool) -> None:
    found = opening(NIGHTLY, at.astimezone(UTC))
    assert (found is not None) is is_open
    assert found is None or found == (local(28, 22), local(29, 2))


def test_a_monthly_window_and_the_bounds_of_the_whole() -> None:
    monthly = Schedule(
        starts_at=local(15, 1),
        ends_at=local(20, 0),
        repeat=Repeat.MONTHLY,
        days=(15, 31),
        opens=time(0),
        closes=time(6),
    )
    assert opening(monthly, local(15, 0, 30)) is None, "not begun"
    assert opening(monthly, local(15, 1)) == (local(15, 1), local(15, 6))
    assert opening(monthly, local(16, 1)) is None


@given(st.integers(0, 29 * 24 * 60))
def test_an_opening_contains_its_moment_and_not_its_end(minute: int) -> None:
    at = local(1, 0) + timedelta(minutes=minute)
    if (found := opening(NIGHTLY, at)) is not None:
        begin, end = found
        assert begin <= at < end
        assert opening(NIGHTLY, begin) == found
        assert opening(NIGHTLY, end) is None
