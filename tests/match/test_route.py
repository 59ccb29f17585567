"""Which events a log source means."""

from __future__ import annotations

from typing import Any

import pytest

from secops.match.engine import Engine
from secops.match.route import covers, seen, signature_of, view_of
from secops.match.rule import LogSource
from tests.match.conftest import Documents, rule

SYSMON = "Microsoft-Windows-Sysmon/Operational"
SECURITY = {"Channel": "Security", "EventID": 4625}


def windows(event: dict[str, Any], dataset: str = "windows.other") -> dict[str, Any]:
    """The event as normalising leaves it."""
    return {"event.dataset": dataset, "event.module": "windows", "original": event}


@pytest.mark.parametrize("shape", [dict, windows])
@pytest.mark.parametrize(
    ("source", "event", "means"),
    [
        (LogSource("windows", service="security"), SECURITY, True),
        (LogSource("windows", service="security"), {**SECURITY, "Channel": "SECURITY"}, True),
        (LogSource("windows", service="system"), SECURITY, False),
        (LogSource("windows"), SECURITY, True),
        (LogSource(), SECURITY, True),
        (LogSource("linux"), SECURITY, False),
        (LogSource("linux", service="sshd"), SECURITY, False),
        (LogSource("windows", "process_creation"), {"Channel": SYSMON, "EventID": 1}, True),
        (LogSource("windows", "process_creation"), {"Channel": SYSMON, "EventID": "1"}, True),
        (LogSource("windows", "process_creation"), {"Channel": SYSMON, "EventID": 11}, False),
        (LogSource("windows", "process_creation"), {"Channel": "Security", "EventID": 1}, False),
        (LogSource("", "process_creation"), {"Channel": SYSMON, "EventID": 1}, True),
        (LogSource("windows", "registry_event"), {"Channel": SYSMON, "EventID": 14}, True),
        (LogSource("windows", "registry_set"), {"Channel": SYSMON, "EventID": 14}, False),
        (LogSource("windows", "process_creation", "sysmon"), {"Channel": SYSMON, "EventID": 1}, True),
        (LogSource("windows", "process_creation", "security"), {"Channel": SYSMON, "EventID": 1}, False),
        (LogSource("windows", "nothing_known"), {"Channel": SYSMON, "EventID": 1}, False),
        (LogSource("windows", service="nothing-known"), SECURITY, False),
        (LogSource("windows", "ps_script"), {"Channel": "Microsoft-Windows-PowerShell/Operational", "EventID": 4104}, True),
        (LogSource("windows", service="powershell"), {"Channel": "PowerShellCore/Operational", "EventID": 4104}, True),
        (LogSource("windows", service="applocker"), {"Channel": "Microsoft-Windows-AppLocker/EXE and DLL", "EventID": 8004}, True),
    ],
)  # fmt: skip
def test_windows(source: LogSource, event: dict[str, Any], shape: Any, *, means: bool) -> None:
    assert covers(source, signature_of(shape(event))) == means


@pytest.mark.parametrize(
    ("source", "dataset", "means"),
    [
        (LogSource("linux", service="sshd"), "linux.sshd", True),
        (LogSource("linux", service="auth"), "linux.sshd", True),
        (LogSource("linux", service="syslog"), "linux.cron", True),
        (LogSource("linux"), "linux.su", True),
        (LogSource("linux"), "syslog.generic", True),
        (LogSource("linux", service="clamav"), "syslog.generic", True),
        (LogSource("linux", "process_creation"), "syslog.generic", False),
        (LogSource("linux", service="sshd"), "linux.sudo", False),
        (LogSource("huawei", service="bgp"), "syslog.generic", True),
        (LogSource("huawei", service="bgp"), "huawei.vrp", True),
        (LogSource("huawei"), "h3c.comware", False),
        (LogSource("cisco", service="aaa"), "cisco.ios", True),
        (LogSource("cisco", service="aaa"), "network.ios", True),
        (LogSource("ruijie"), "network.ios", True),
        (LogSource("huawei"), "network.ios", False),
        (LogSource("cisco"), "ruijie.rgos", False),
        (LogSource(category="network_device"), "ruijie.rgos", True),
        (LogSource(category="network_device"), "cisco.asa", False),
        (LogSource(category="network_device"), "linux.sshd", False),
        (LogSource("aws", service="cloudtrail"), "syslog.generic", False),
        (LogSource(category="webserver"), "nginx.access", True),
        (LogSource(category="webserver"), "nginx.error", False),
        (LogSource(service="nginx"), "nginx.error", True),
        (LogSource("secops", service="audit"), "secops.audit", True),
        (LogSource("secops", service="audit"), "secops.probe", False),
        (LogSource("kubernetes", "application", "audit"), "kubernetes.audit", True),
        (LogSource("kubernetes", service="audit"), "kubernetes.audit", True),
        (LogSource("kubernetes", service="audit"), "openstack.audit", False),
        (LogSource("python", "application"), "kubernetes.audit", False),
        (LogSource(category="cloud_audit"), "huaweicloud.cts", True),
        (LogSource(category="cloud_audit"), "openstack.audit", True),
        (LogSource(category="cloud_audit"), "kubernetes.audit", False),
        (LogSource("huawei"), "huaweicloud.cts", False),
        (LogSource("aliyun", service="actiontrail"), "aliyun.actiontrail", True),
        (LogSource("tencentcloud"), "aliyun.actiontrail", False),
        (LogSource("keycloak", service="admin"), "keycloak.event", False),
        (LogSource("windows"), "json.generic", False),
        (LogSource("json"), "json.generic", True),
        (LogSource(), "json.generic", True),
    ],
)
def test_our_datasets(source: LogSource, dataset: str, *, means: bool) -> None:
    assert covers(source, signature_of({"event.dataset": dataset})) == means


def test_a_raw_event_nobody_can_place_is_looked_at_by_every_rule(load: Documents) -> None:
    found = load(
        rule(
            {"s": {"eventName": "StopLogging"}, "condition": "s"}, logsource={"product": "aws", "service": "cloudtrail"}
        )
    )
    assert Engine(found.rules).match([{"eventName": "StopLogging"}])
    assert not Engine(found.rules).match([{"eventName": "StopLogging", "event.dataset": "linux.sshd"}])


def test_a_rule_finds_our_fields_then_the_original_ones_then_sigmas_names() -> None:
    event = {
        "event.dataset": "nginx.access",
        "url.query": "a=1",
        "user.name": "ours",
        "original": {"user.name": "theirs", "x": 1},
    }
    view = view_of(event)
    assert (view["user.name"], view["x"], view["cs-uri-query"]) == ("ours", 1, "a=1")
    assert "cs-uri-query" not in event


def test_rules_for_web_servers_work_on_our_access_logs(load: Documents) -> None:
    found = load(
        rule(
            {"s": {"cs-method": "GET", "cs-uri-query|contains": "select"}, "condition": "s"},
            logsource={"category": "webserver"},
        )
    )
    event = {"event.dataset": "nginx.access", "http.request.method": "GET", "url.query": "q=SELECT"}
    [hit] = Engine(found.rules).match([event])
    assert hit.fields == {"cs-method": "GET", "cs-uri-query": "q=SELECT"}


NEW_PROCESS = {
    "Channel": "Security",
    "EventID": 4688,
    "NewProcessName": "C:\\Windows\\System32\\whoami.exe",
    "ParentProcessName": "C:\\Windows\\System32\\cmd.exe",
    "CommandLine": "whoami /all",
    "MandatoryLabel": "S-1-16-12288",
}


def test_processes_that_windows_audits_are_process_creation_once_normalised(load: Documents) -> None:
    """Raw events are left alone, as every converter of rules leaves them; service and other categories do not change."""
    selection = {"Image|endswith": "\\whoami.exe", "ParentImage|endswith": "\\cmd.exe", "IntegrityLevel": "High"}
    found = load(
        rule({"s": selection, "condition": "s"}, 1, logsource={"product": "windows", "category": "process_creation"}),
        rule({"s": selection, "condition": "s"}, 2, logsource={"category": "process_creation", "service": "sysmon"}),
        rule({"s": {"CommandLine|contains": "whoami"}, "condition": "s"}, 3, logsource={"service": "security"}),
        rule({"s": {"CommandLine|contains": "whoami"}, "condition": "s"}, 4, logsource={"category": "process_access"}),
    )
    engine = Engine(found.rules)
    engine.prepare()
    hits = engine.match([NEW_PROCESS, windows(NEW_PROCESS, "windows.security"), windows(NEW_PROCESS, "windows.other")])
    assert [(hit.index, hit.rule_id[-1]) for hit in hits] == [(0, "3"), (1, "1"), (1, "3"), (2, "3")]
    assert hits[1].fields["Image"] == NEW_PROCESS["NewProcessName"]
    assert seen(windows(NEW_PROCESS, "windows.security"))["Image"] == NEW_PROCESS["NewProcessName"]


@pytest.mark.parametrize("shape", [dict, windows])
def test_spaces_in_the_names_of_windows_fields_may_be_left_out(load: Documents, shape: Any) -> None:
    found = load(
        rule({"s": {"ThreatName": "x", "Threat Name": "x"}, "condition": "s"}, logsource={"service": "windefend"})
    )
    event = {"Channel": "Microsoft-Windows-Windows Defender/Operational", "EventID": 1119, "Threat Name": "X"}
    [hit] = Engine(found.rules).match([shape(event)])
    assert hit.fields == {"ThreatName": "X", "Threat Name": "X"}
