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
        _figure("temporal_ordered updates, chain of three", _updates(CorrelationType.TEMPORAL_ORDERED, _chain())),
        Figure(name="baseline: window recounted for each event", value=recount, unit="events/CPU-s"),
        Figure(name="baseline: dict increment", value=increment, unit="increments/CPU-s"),
    ]


def _figure(name: str, value: float, note: str = "", bar: float = BAR) -> Figure:
    return Figure(name=name, value=value, unit="updates/CPU-s", bar=bar, note=note)


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
