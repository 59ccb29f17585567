"""Correlation state: updates of one key's window, beside two baselines measured in the same run.

The baselines bound what can be expected: a dict increment is the least that any count costs in this interpreter, and
counting the window anew for each event is what an engine without running counts does.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from secops.bench.figures import Figure, stopwatch
from secops.match.rule import Correlation, CorrelationType
from secops.match.window import Entry
from secops.match.windows import window_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UPDATES: Final = 300_000
RECOUNTS: Final = 2000
DISTINCT: Final = 1800  # values in the window
SPAN: Final = timedelta(minutes=1)
STEP: Final = 60_000_000 // (2 * DISTINCT)  # microseconds between two events: the window holds each value twice
FULL: Final = 8192  # hits of a full window that is measured
LATES: Final = 20
LATENESS: Final = 300_000_000
BAR: Final = 1_000_000.0
NEVER: Final = 1_000_000_000.0  # a bound that no window reaches, so that every update is only that


def measure() -> list[Figure]:
    """Updates per CPU-second; the better of two runs each, for the machine may be shared."""
    values = [f"account-{number % DISTINCT}" for number in range(UPDATES)]
    recount = _best(lambda: _recounted(values[: RECOUNTS + 2 * DISTINCT]), RECOUNTS)
    increment = _best(lambda: _incremented(values), UPDATES)
    counted = _updates(CorrelationType.VALUE_COUNT, values)
    note = f"{counted / recount:,.0f} times a recount, {counted / increment:.2f} of a dict increment"
    return [
        _figure("event_count updates", _updates(CorrelationType.EVENT_COUNT, [0] * UPDATES)),
        _figure(f"value_count updates, {DISTINCT} distinct values in the window", counted, note),
        _figure("... every second event a second late", _updates(CorrelationType.VALUE_COUNT, values, _late), bar=0.0),
        _figure("value_sum updates, each compared", _updates(CorrelationType.VALUE_SUM, _numbers()), bar=0.0),
        Figure(
            name=f"value_sum, late into a window of {FULL:,} hits, none of them negative",
            value=_late_into_full(negative=False),
            unit="events/CPU-s",
        ),
        Figure(
            name="... some negative: every window it lies in is added up",
            value=_late_into_full(negative=True),
            unit="events/CPU-s",
        ),
        _figure("temporal_ordered updates, chain of three", _updates(CorrelationType.TEMPORAL_ORDERED, _chain())),
        Figure(name="baseline: window recounted for each event", value=recount, unit="events/CPU-s"),
        Figure(name="baseline: dict increment", value=increment, unit="increments/CPU-s"),
    ]


def _figure(name: str, value: float, note: str = "", bar: float = BAR) -> Figure:
    return Figure(name=name, value=value, unit="updates/CPU-s", bar=bar, note=note)


def _numbers() -> list[float]:
    return [float(number % 1500) for number in range(UPDATES)]


def _late_into_full(*, negative: bool) -> float:
    """Events that lie early in a full window, whose sum stays below what the rule asks for."""
    bound = 1500.0 * FULL
    conditions = (("gte", bound),)
    body = Correlation(
        type=CorrelationType.VALUE_SUM, rules=("a",), timespan=SPAN, conditions=conditions, fields=("n",)
    )
    step = 60_000_000 // FULL
    window = window_of(body, [Entry(at * step, float(at % 1000), f"0-{at}") for at in range(1, FULL)])
    window.push(Entry(FULL * step, -2 * LATES * bound if negative else 1.0, "0-x"))
    window.limit = 2 * FULL
    with stopwatch() as watch:
        for late in range(LATES):
            window.add(Entry(FULL // 8 * step + late, bound if negative else 1.0, f"1-{late}"), LATENESS, FULL * step)
    return LATES / watch.cpu


def _chain() -> list[int]:
    """The first two rules of three in turn: chains begin and go on, and never end."""
    return [number % 2 for number in range(UPDATES)]


def _in_order(number: int) -> int:
    return number * STEP


def _late(number: int) -> int:
    return number * STEP - (number % 2) * 1_000_000


def _updates(kind: CorrelationType, values: Sequence[object], at: Callable[[int], int] = _in_order) -> float:
    ordered = kind is CorrelationType.TEMPORAL_ORDERED
    body = Correlation(
        type=kind,
        rules=("a", "b", "c"),
        timespan=SPAN,
        conditions=() if ordered else (("gte", NEVER),),
        fields=("user.name",),
    )
    entries = [Entry(at(number), value, f"0-{number}") for number, value in enumerate(values)]

    def update() -> float:
        window = window_of(body)
        window.limit = UPDATES
        add = window.add
        with stopwatch() as watch:
            for entry in entries:
                add(entry, LATENESS)
        return watch.cpu

    return _best(update, len(entries))


def _recounted(values: Sequence[str]) -> float:
    """A window that is counted anew for each event, once it is full."""
    window = deque(values[: 2 * DISTINCT], maxlen=2 * DISTINCT)
    most = 0
    with stopwatch() as watch:
        for value in values[2 * DISTINCT :]:
            window.append(value)
            most = max(most, len(set(window)))
    return watch.cpu


def _incremented(values: Sequence[str]) -> float:
    counts: dict[str, int] = {}
    with stopwatch() as watch:
        for value in values:
            counts[value] = counts.get(value, 0) + 1
    return watch.cpu


def _best(seconds: Callable[[], float], number: int) -> float:
    return number / min(seconds(), seconds())
