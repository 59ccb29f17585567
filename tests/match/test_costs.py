"""What a rule is said to cost."""

from __future__ import annotations

from secops.match.costs import EVERY
from secops.match.engine import Engine
from tests.match.conftest import Documents, rule


def test_looked_at_and_held_are_told_apart(load: Documents) -> None:
    engine = Engine(
        load(
            rule({"s": {"f|contains": "a", "g": "x"}, "condition": "s"}, 1),
            rule({"s": {"f|contains": "b"}, "n": {"g": None}, "condition": "s and not n"}, 2),
            rule({"s": {"f": "never"}, "condition": "s"}, 3),
        ).rules
    )
    for _ in range(10):  # batches smaller than the distance between two measured events
        engine.match([{"f": "b", "g": "y"}, {"f": "b"}] * EVERY)
    costs = engine.costs()
    assert list(costs) == ["00000000-0000-4000-8000-000000000002"]
    [(evaluated, matched, cpu_us)] = costs.values()
    assert evaluated == 20 * EVERY
    assert matched == 10 * EVERY
    assert cpu_us > 0


def test_small_batches_are_measured_like_large_ones(load: Documents) -> None:
    rules = load(rule({"s": {"f|contains": "b"}, "condition": "s"})).rules
    small, large = Engine(rules), Engine(rules)
    for _ in range(EVERY * 4):
        small.match([{"f": "b"}])
    large.match([{"f": "b"}] * EVERY * 4)
    [one], [other] = small.costs().values(), large.costs().values()
    assert one[:2] == other[:2] == (EVERY * 4, EVERY * 4)


def test_a_rule_that_takes_long_is_seen_to(load: Documents) -> None:
    engine = Engine(
        load(
            rule({"s": {"f|startswith": "a"}, "condition": "s"}, 1),
            rule({"s": {"f|re": "^a.*b.*c.*d.*e$"}, "condition": "s"}, 2),
        ).rules
    )
    engine.match([{"f": f"a{number}" + "bcd" * 2000 + "e"} for number in range(EVERY * 8)])
    cheap, dear = (engine.costs()[f"00000000-0000-4000-8000-{number:012d}"] for number in (1, 2))
    assert cheap.matched == dear.matched == EVERY * 8
    assert cheap.cpu_us < dear.cpu_us
