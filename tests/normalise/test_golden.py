from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from secops.normalise.parser import START
from secops.normalise.registry import registry

GOLDEN = Path(__file__).parent / "golden"
PAIRS = [
    pytest.param(orjson.loads(line), id=f"{path.stem}-{number}")
    for path in sorted(GOLDEN.glob("*.jsonl"))
    for number, line in enumerate(path.read_bytes().splitlines(), start=1)
]
EVERYWHERE = {"event.ingested", "event.original", "organization.id", "agent.type", "log.source.address"}


@pytest.mark.parametrize("pair", PAIRS)
def test_raw_message_gives_the_expected_events(pair: dict[str, Any], read: Any) -> None:
    raw = bytes.fromhex(pair["hex"]) if "hex" in pair else pair["raw"]
    events = read(raw, pair["format"])
    assert all(set(event) >= EVERYWHERE for event in events)
    assert [{key: value for key, value in event.items() if key not in EVERYWHERE} for event in events] == pair["events"]


def test_every_parser_has_golden_pairs() -> None:
    datasets = {event["event.dataset"] for pair in PAIRS for event in pair.values[0]["events"]}  # type: ignore[attr-defined]
    seen = {word for dataset in datasets for word in dataset.split(".")}
    programs = {parse.__module__.rpartition(".")[2] for parse in registry().programs.values()}
    assert seen >= (programs - {"nginx", "keycloak", "ruijie"}) | {
        "access",
        "error",
        "security",
        "sysmon",
        "system",
        "other",
        "generic",
        "vrp",
        "comware",
        "rgos",
        "audit",
        "probe",
        "cts",
        "actiontrail",
        "cloudaudit",
        "event",
        "admin",
    }
    offers = {offer.parse.__module__.rpartition(".")[2] for offer in registry().messages}
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} >= offers
    assert {pair.values[0]["format"] for pair in PAIRS} == set(registry().formats)  # type: ignore[attr-defined]


def test_a_message_parser_claims_nothing_that_begins_otherwise_than_it_says() -> None:
    texts = [str(event["message"]) for pair in PAIRS for event in pair.values[0]["events"] if event.get("message")]  # type: ignore[attr-defined]
    raws = [str(pair.values[0].get("raw", "")) for pair in PAIRS]  # type: ignore[attr-defined]
    starts = {text[at : at + START] for text in (*texts, *raws) for at in range(min(len(text), 80)) if text[at:]}
    for offer in registry().messages:
        claimed = [start for start in starts if offer.claims(start)]
        assert claimed, offer
        assert all(not offer.first or start[0] in offer.first for start in claimed), offer
