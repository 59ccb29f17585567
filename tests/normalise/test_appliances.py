"""Firewalls, VPN gateways and WAFs: whoever is logged must not be able to write the log."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.record import Record
from secops.normalise import appliance, normalise
from secops.normalise.pairs import read_pairs
from secops.normalise.parsers import dbappsecurity, sangfor
from secops.normalise.registry import registry
from secops.normalise.schema import MAX_RAW

PRIORITY = "<134>Nov 24 15:40:01 fw "


def test_a_url_cannot_forge_the_verdict_of_sangfor(one: Any) -> None:
    event = one(
        PRIORITY
        + "fwlog: 日志类型:WAF应用防护日志, 源IP:203.0.113.9, 目的IP:10.1.1.10, 攻击类型:SQL注入, 严重级别:高, 系统动作:允许, "
        "URL:a.example/x?q=1, 系统动作:拒绝, 源IP:192.0.2.99, 用户:admin"
    )
    assert (event["event.action"], event["source.ip"]) == ("allow", "203.0.113.9")
    assert "user.name" not in event


def test_a_url_cannot_forge_the_verdict_of_dbappsecurity() -> None:
    found = dbappsecurity.read_pairs(
        "发生时间/x,威胁/高,事件/SQL注入,请求方法/GET,URL地址/a?x=1,动作/阻断,客户端IP/192.0.2.1,POST数据/,服务器IP/10.1.1.2"
    )
    assert "动作" not in found
    assert found["URL地址"] == "a?x=1,动作/阻断,客户端IP/192.0.2.1"


def test_a_user_name_cannot_forge_the_address_of_hillstone(one: Any) -> None:
    head = PRIORITY.replace("fw", "1304447192000843(root)")
    event = one(
        head
        + '421c0402 Event@MGMT: Admin user "x" logined through SSH, from 192.0.2.1" attempted to login through SSH failed, and the IP is 203.0.113.9.'
    )
    assert (event["event.outcome"], event["source.ip"]) == ("failure", "203.0.113.9")
    event = one(
        head
        + "4514061f Event@VPN: User a on SCVPN x logs on from 192.0.2.1(client), login success on SCVPN s logs on from 203.0.113.9(client), login failed, wrong password"
    )
    assert (event["event.outcome"], event["source.ip"]) == ("failure", "203.0.113.9")


def test_a_command_with_quotes_has_its_administrator(one: Any) -> None:
    head = PRIORITY.replace("fw", "1304447192000843(root)")
    event = one(
        head + '42080a0d Event@MGMT: Admin user "sec-li" executed command: "no logging syslog 10.20.9.9" through SSH'
    )
    assert (event["user.name"], event["event.action"]) == ("sec-li", "log_server_remove")


def test_a_value_cannot_forge_a_key_of_topsec(one: Any) -> None:
    event = one(
        PRIORITY
        + 'id=tos time="2026-11-24 15:40:00" fw=A pri=4 type=waf src=203.0.113.9 dst=10.1.1.2 action=pass url="/x?a=1 action=deny src=192.0.2.1" msg="SQL注入"'
    )
    assert (event["event.action"], event["source.ip"]) == ("allow", "203.0.113.9")


def test_devices_that_call_themselves_localhost_are_told_apart(one: Any) -> None:
    event = one(
        "<134>Nov 24 15:40:01 localhost fwlog: 日志类型:系统操作, 用户:admin, IP地址:10.1.1.1, 操作对象:策略, 操作类型:新增, 描述:成功"
    )
    assert event["host.name"] == "192.0.2.7"


@pytest.mark.parametrize(
    "message",
    [
        "[Tue Nov ² 16:10:03 2026] [error] x",
        "CEF:0|a|b|c|d|e|²|rt=Nov ² 2026 x cn1=² spt=²",
        "LEEF:1.0|a|b|c|d|sev=²\tsrcPort=²",
        'id=tos time="²" pri=² sport=² sent=²',
        "日志类型:x, 源端口:²",
        "GET /a - ² - 192.0.2.1 a - ²00 0 0 1",
    ],
)
def test_digits_of_other_scripts_are_no_numbers(one: Any, message: str) -> None:
    event = one(PRIORITY + message)
    assert "error.message" not in event
    assert not {"source.port", "source.bytes", "http.response.status_code"} & set(event)


KEYS = st.from_regex(r"[a-z][a-z_]{0,19}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters='"'), max_size=30)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=20))
def test_quoted_pairs_are_read_as_written(pairs: dict[str, str]) -> None:
    assert read_pairs(" ".join(f'{key}="{value}"' for key, value in pairs.items())) == pairs


@given(
    st.text(max_size=300),
    st.sampled_from(
        [
            "日志类型:",
            'id=tos time="',
            "CEF:0|",
            "LEEF:2.0|",
            "tag:waf_log_websec ",
            "发生时间/",
            "a(b) 12345678 Event@MGMT: ",
            "[Tue Nov 24 16:10:03 2026] [error] ",
        ]
    ),
)
def test_any_text_gives_an_event(text: str, start: str) -> None:
    [event] = normalise(
        [
            Record(
                (PRIORITY + start + text.replace("\n", " ")).encode("utf-8", "replace"),
                datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
                "syslog",
                "192.0.2.7:514",
                "city",
                "syslog",
            )
        ]
    )
    assert "parser fault" not in str(event.get("error.message", ""))


STARTS = [
    "日志类型:x, 用户:b, ",
    "id=tos a=b ",
    "a(b) 12345678 Event@MGMT: ",
    "a(b) 12345678 Traffic@FLOW: SESSION: ",
    "tag:waf_log_websec ",
    "发生时间/",
    "CEF:0|a|b|c|d|e|5|a=b ",
    "LEEF:2.0|a|b|c|d|^|",
    "GET /",
    "[Tue Nov 24 16:10:03 2026] [error] ModSecurity: ",
    '203.0.113.9 - - [24/Nov/2026:16:10:00 +0800] "GET ',
]
UNITS = ["x, ", ", ", "x ", "a ", "=", "a=", "\\", " - ", '"', '\\"', ": ", ' [a "b"]', "->", "|", "^"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("start", STARTS)
def test_the_longest_message_is_read_in_a_moment(one: Any, start: str, unit: str) -> None:
    message = (PRIORITY + start).encode() + (unit * (MAX_RAW // len(unit))).encode()
    begin = time.perf_counter()
    one(message[:MAX_RAW])
    assert time.perf_counter() - begin < 2.5  # a third of a second here; what copies the rest at each step takes longer


@pytest.mark.parametrize(
    ("said", "operation"),
    [
        ("安全策略 新增 策略名称 test 成功", "policy_add"),
        ("应用控制策略 停用 成功", "policy_disable"),
        ("日志服务器 删除 10.1.1.9 成功", "log_server_remove"),
        ("清空 系统日志 成功", "log_clear"),
        ('Admin user "hillstone" cleared Event log', "log_clear"),
        ("配置备份 导出配置文件 成功", "config_export"),
        ("IPS特征库 升级失败", "signature_fail"),
        ("HA state changed from backup to master", "ha_switch"),
        ("Session table is full", "session_limit"),
        ("admin user name login", "config_change"),
        ("hash changed by source", "config_change"),
        ("HA heartbeat interface changed", "config_change"),
        ("删除 日志审计模板 成功", "config_change"),
        ("删除系统日志 成功", "log_clear"),
    ],
)
def test_words_of_devices_become_ours(said: str, operation: str) -> None:
    assert appliance.operation(said) == operation


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("SQL 注入", "sql_injection"),
        ("WEBSHELL", "webshell"),
        ("Apache Struts2 远程代码执行漏洞", "code_execution"),
        ("stratum 挖矿", "mining"),
        ("resource forced in windows", ""),
        ("UDP洪水攻击", "dos"),
        ("DNS隧道", "dns_tunnel"),
    ],
)
def test_attacks_are_told_apart(said: str, kind: str) -> None:
    assert appliance.threat(said) == kind


def test_pieces_without_a_key_belong_to_the_value_before() -> None:
    assert sangfor.fields("日志类型:系统操作, 描述x:一, 二, 用户:a") == {
        "日志类型": "系统操作",
        "描述x": "一, 二",
        "用户": "a",
    }


def test_one_message_has_one_parser() -> None:
    starts = [
        "CEF:0|a|b|",
        "LEEF:1.0|a|",
        'id=tos time="x"',
        "日志类型:x",
        "a(b) 12345678 Event@MGMT: x",
        "tag:waf_log_websec x",
        "发生时间/x",
    ]
    for start in starts:
        assert sum(parser.claims(start) for parser in registry().messages) == 1, start
