"""Messages of network devices: who may say what, and how long reading takes, whatever a sender writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.normalise.commands import IOS, VRP, written_out
from secops.normalise.devices import MEANINGS, in_brackets, pairs
from secops.normalise.parser import Desk
from secops.normalise.parsers import h3c_comware, huawei_vrp, ruijie
from secops.normalise.times import SHANGHAI

One = Callable[..., dict[str, Any]]
DESK = Desk({}, (), (), (), SHANGHAI)


@pytest.mark.parametrize(
    "raw",
    [
        "%%01SSH/4/SSH_FAIL(s)[1]:Failed to login through SSH. (IP=203.0.113.7, VpnInstanceName=, UserName=x, IP=10.0.0.1, Times=1)",
        "%%01FTPS/3/LOGINFAILED(s)[1]:The user failed. (UserName=x, IpAddress=10.0.0.1, IpAddress=203.0.113.7, VpnInstanceName=)",
        "%%10LOGIN/5/LOGIN_FAILED: x failed to log in from 10.0.0.1. failed to log in from 203.0.113.7.",
        "%%10SSHS/6/SSHS_LOG: Authentication failed for user x from 10.0.0.1 port 1 from 203.0.113.7 port 2 because of wrong password.",
        "%SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: x] [Source: 10.0.0.1] [y] [Source: 203.0.113.7] [localport: 22]",
        "%LOGIN-4-LOGIN_FAILED: User x login from vty0(10.0.0.1) login from vty0(203.0.113.7) failed.",
    ],
)
def test_the_user_name_cannot_forge_the_address(one: One, raw: str) -> None:
    event = one(f"<188>Nov 24 2026 15:40:01 gw {raw}")
    assert event["source.ip"] == "203.0.113.7"
    assert event["event.outcome"] == "failure"


def test_a_command_cannot_forge_who_typed_it(one: One) -> None:
    raw = '%%01SHELL/5/CMDRECORDFAILED(s)[1]:Recorded command information. (Task=VT0, Ip=10.8.0.4, User=liwei, Command="ping a", User=root, Ip=1.1.1.1, Result="x", Result=FAILED)'
    event = one(f"<188>Nov 24 2026 15:40:01 gw {raw}")
    assert (event["user.name"], event["source.ip"]) == ("liwei", "10.8.0.4")
    assert event["process.command_line"] == 'ping a", User=root, Ip=1.1.1.1, Result="x'
    assert event["original"]["Result"] == "FAILED"
    assert event["event.outcome"] == "failure"


def test_a_program_of_a_host_is_not_taken_for_a_module_of_ruijie(one: One) -> None:
    assert one("<13>1 2026-11-24T08:00:00Z host login 77 - - ROOT LOGIN ON tty1")["event.dataset"] == "syslog.generic"
    assert (
        one("<133>1 2026-11-24T08:00:00Z sw SYS 5 CONFIG_I - Configured from console by liwei")["event.dataset"]
        == "ruijie.rgos"
    )


def test_every_action_of_every_table_has_a_meaning() -> None:
    for module in (huawei_vrp, h3c_comware, ruijie):
        assert all(len(name) > 3 for name in module._ACTIONS), "a string was taken for a tuple"
        assert {*module._ACTIONS.values(), *(action for _, action in module._PARTS)} <= {"", *MEANINGS}


@given(
    st.text(alphabet='()=", ;<>-%abIP.1', max_size=400),
    st.sampled_from(
        ["%%01SSH/4/SSH_FAIL(s)[1]:", "%%10SHELL/6/SHELL_CMD: -", "%LOGIN-5-LOGIN_SUCCESS: ", "%%01", "%%10", "%"]
    ),
)
def test_any_text_is_read_without_a_fault(text: str, lead: str) -> None:
    for parse in (huawei_vrp.parse, h3c_comware.parse, ruijie.parse):
        event: dict[str, Any] = {}
        parse(event, lead + text, DESK)
        assert all(value is not None for value in event.values())


@given(
    st.dictionaries(
        st.text("abcXYZ", min_size=1, max_size=8), st.text("019. abc", max_size=12).map(str.strip), max_size=12
    )
)
def test_pairs_are_read_as_they_were_written(found: dict[str, str]) -> None:
    text = f"Something happened. ({', '.join(f'{name}={value}' for name, value in found.items())})"
    if found:
        assert pairs(in_brackets(text)) == found


@pytest.mark.parametrize(
    "piece", ["(a", "a=b, ", "-a=b;", "a=1;", "(1003)=x;", "[user: ", " from ", "command:", "=,", "<a=b,"]
)
@pytest.mark.parametrize("lead", ["%%01SSH/4/SSH_FAIL(s)[1]:", "%%10FILTER/6/X: ", "%%10SHELL/6/SHELL_CMD: -", "%LOGIN-5-LOGIN_SUCCESS: ", "%NFPP_ARP_GUARD-4-SCAN: "])  # fmt: skip
def test_a_message_of_the_greatest_length_takes_little_time(one: One, lead: str, piece: str) -> None:
    started = time.process_time()
    one(f"<188>Nov 24 2026 15:40:01 gw {lead}{piece * (900_000 // len(piece))}")
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("raw", "command"),
    [
        ('%%01SHELL/5/CMDRECORD(s)[1]:Recorded command information. (Task=VT0, Ip=10.8.0.4, User=liwei, Command="un info en")', "undo info-center enable"),
        ('%%01SHELL/5/CMDRECORD(s)[1]:Recorded command information. (Task=VT0, Ip=10.8.0.4, User=liwei, Command="local-u en privi lev 15")', "local-user en privilege level 15"),
        ("%%10SHELL/6/SHELL_CMD: -Line=vty0-IPAddr=10.8.0.4-User=liwei; Command is res logb", "reset logbuffer"),
        ("%CLI-5-EXEC_CMD: Configured from vty0(10.8.0.4) by liwei command: no logg on", "no logging on"),
        ("%PARSER-5-CFGLOG_LOGGEDCMD: User:liwei  logged command:username en priv 15", "username en privilege 15"),
    ],
)  # fmt: skip
def test_abbreviated_commands_are_written_out_and_what_was_typed_is_kept(one: One, raw: str, command: str) -> None:
    event = one(f"<188>Nov 24 2026 15:40:01 gw {raw}")
    assert event["process.command_line"] == command
    assert raw.rstrip('")').endswith(event["original"]["command.typed"])


@pytest.mark.parametrize(
    "command", ["undo info-center enable", "log on", "i e", "frobnicate the widget", "", " un info en"]
)
def test_what_is_not_an_abbreviation_of_one_word_stays(command: str) -> None:
    assert written_out(command, VRP) is command


@given(st.text(max_size=200))
def test_writing_out_changes_nothing_but_words_at_the_beginning(command: str) -> None:
    for vocabulary in (VRP, IOS):
        words = written_out(command, vocabulary).split(" ")
        assert len(words) == len(command.split(" "))
        assert all(
            full.startswith(word.lower()) for full, word in zip(words, command.split(" "), strict=True) if full != word
        )
