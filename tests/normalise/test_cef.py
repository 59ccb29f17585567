"""ArcSight's Common Event Format, written by an encoder here and read back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.normalise.extended import moment
from secops.normalise.parsers.cef import read, read_extension
from secops.normalise.times import SHANGHAI

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40).map(str.strip)
VALUES = st.text(
    st.one_of(st.sampled_from("=\\| \nabc键"), st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    max_size=60,
).map(lambda value: value.strip(" "))
KEYS = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,20}", fullmatch=True)


def encode(header: list[str], extension: dict[str, str]) -> str:
    """Write a message as the guide says."""
    head = [part.replace("\\", "\\\\").replace("|", "\\|") for part in header]
    pairs = [
        f"{key}={value.replace(chr(92), chr(92) * 2).replace('=', chr(92) + '=').replace(chr(10), chr(92) + 'n')}"
        for key, value in extension.items()
    ]
    return "|".join(["CEF:0", *head]) + "|" + " ".join(pairs)


@given(st.lists(WORDS, min_size=6, max_size=6), st.dictionaries(KEYS, VALUES, max_size=12))
def test_what_is_written_is_read(header: list[str], extension: dict[str, str]) -> None:
    found = read(encode(header, extension))
    assert found is not None
    assert list(found.header) == [part.strip() for part in header]
    assert found.extension == extension


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = read("CEF:0|" + text)
    assert found is None or all(key for key in found.extension)


def test_the_first_of_a_key_counts() -> None:
    assert read_extension("act=blocked msg=x act=allowed") == {"act": "blocked", "msg": "x"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1795506000000", "2026-11-24T07:40:00.000000Z"),
        ("Nov 24 2026 15:40:00", "2026-11-24T07:40:00.000000Z"),
        ("Nov 24 2026 15:40:00.250", "2026-11-24T07:40:00.250000Z"),
        ("Nov 24 2026 07:40:00 UTC", "2026-11-24T07:40:00.000000Z"),
        ("2026-11-24 15:40:00", "2026-11-24T07:40:00.000000Z"),
        ("yesterday", None),
        ("Nov xx 2026 15:40:00", None),
        ("Nov ² 2026 15:40:00", None),
        ("Nov 99 2026 15:40:00", None),
    ],
)
def test_times_in_all_forms_of_the_guide(written: str, expected: str | None) -> None:
    assert moment(written, SHANGHAI) == expected


def test_custom_fields_are_found_by_the_name_that_the_sender_gives_them(one: Any) -> None:
    event = one(
        "<134>Nov 24 15:40:01 siem CEF:0|Acme|WAF|1|9|SQL injection|8|cs1Label=Policy cs1=portal act=block src=203.0.113.9"
    )
    assert event["original"]["Policy"] == "portal"
    assert (event["event.action"], event["rule.category"], event["log.level"]) == ("deny", "sql_injection", "high")


def test_a_broken_header_is_marked_and_kept(one: Any) -> None:
    event = one("<134>Nov 24 15:40:01 siem CEF:0|Acme|WAF")
    assert event["tags"] == ["malformed_cef"]
    assert event["message"] == "CEF:0|Acme|WAF"


@pytest.mark.parametrize(
    ("name", "extension", "action"),
    [
        ("Virus signature database updated", "", "signature_update"),
        ("SYN flood detected", "act=drop", "deny"),
        ("Administrator login failed", "suser=admin", "admin_login"),
        ("Brute force login attempt", "act=blocked", "deny"),
        ("Traffic", "act=accept", "allow"),
        ("Configuration backup downloaded", "suser=admin", "config_export"),
        ("Connection denied", "act=deny msg=trojan horse museum", "deny"),
    ],
)
def test_what_a_message_is_about(one: Any, name: str, extension: str, action: str) -> None:
    event = one(f"<134>Nov 24 15:40:01 siem CEF:0|Acme|Box|1|9|{name}|5|src=203.0.113.9 {extension}")
    assert event["event.action"] == action


def test_what_a_visitor_may_write_does_not_make_an_attack(one: Any) -> None:
    event = one(
        "<134>Nov 24 15:40:01 siem CEF:0|Acme|Box|1|9|Connection allowed|5|act=allow msg=trojan virus ransomware"
    )
    assert "rule.category" not in event
