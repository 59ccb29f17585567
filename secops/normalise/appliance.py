"""What firewalls, VPN gateways and WAFs say in their own words, told in one set of words.

Vendors name the same thing differently ("拒绝", "drop", "reset"); rules should not have to. Every table here is looked
through in its order and the first word found counts, so the narrower word stands before the wider one. A text is folded
once and only its beginning is looked at: the time is linear in a bounded length.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops.normalise.parser import peer_host
from secops.normalise.schema import MAX_KEYWORD, address, number, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.records import Event

_LOOKED_AT: Final = 512  # characters of a text in which its kind shows
_SHORT: Final = 64  # characters of a verdict or a severity
_ABSENT: Final = frozenset({"", "-", "--", "n/a", "null", "(null)", "none", "unknown", "-@-", "-@unknown"})
_PROTOCOLS: Final = {"1": "icmp", "6": "tcp", "17": "udp", "47": "gre", "50": "esp", "58": "ipv6-icmp"}
_TRANSPORTS: Final = frozenset({"tcp", "udp", "icmp", "icmpv6", "igmp", "gre", "esp", "ah", "sctp", "ospf"})

DENY: Final = "deny"
ALLOW: Final = "allow"
ALERT: Final = "alert"  # seen, written down and let through

# A word written in letters counts as a whole word, with "*" as the beginning of one; one with Chinese in it counts anywhere.
_VERDICTS: Final = {
    DENY: "拒绝|阻断|拦截|丢弃|禁止|封禁|隔离|删除|清除|deny|denied|drop*|block*|reset*|reject*|forbid*|discard*|refuse*|prevent*|"
    "quarantine*|delete*|clean*|terminate*|intercept*",
    ALERT: "记录|告警|检测|监控|观察|log|logged|alert*|detect*|monitor*|notif*|warn*|observe*",
    ALLOW: "允许|放行|通过|接受|allow*|accept*|permit*|pass|passed",
}
_LEVELS: Final = {
    "critical": "严重|紧急|致命|危急|critical|very high|emergency|fatal",
    "high": "高|high|serious",
    "medium": "中|medium|middle|warning",
    "low": "低|low",
    "info": "信息|一般|提示|info*|notice|notification",
}
_THREATS: Final = {
    "mining": "挖矿|矿池|mining|miner*|coinminer*|cryptominer*|minexmr*|xmrig*|stratum|hashvault*|nanopool*",
    "dga": "随机域名|算法生成域名|dga",
    "dns_tunnel": "dns隧道|dns tunnel*",
    "ransomware": "勒索|ransom*",
    "webshell": "网页后门|一句话|冰蝎|哥斯拉|蚁剑|webshell*|web shell*|behinder|godzilla|antsword",
    "botnet": "僵尸网络|僵木蠕|远控|木马|恶意域名|botnet*|c c|c2|cnc|trojan*|command and control|backdoor*|apt detection",
    "sql_injection": "sql注入|sql injection*|sqli|sql inj*",
    "xss": "跨站|xss|cross site scripting",
    "path_traversal": "目录遍历|路径穿越|目录穿越|路径遍历|文件包含|path traversal|directory traversal|file inclusion|lfi",
    "code_execution": "命令执行|代码执行|命令注入|代码注入|远程执行|系统命令|反序列化|表达式注入|模板注入|command injection|"
    "command execution|code execution|code injection|rce|remote code|deserializ*|struts*|log4j*|jndi",
    "file_upload": "文件上传|上传漏洞|file upload*",
    "brute_force": "暴力破解|口令破解|弱口令|撞库|brute*|password guess*",
    "dos": "拒绝服务|洪水|攻击流量|dos攻击|dos|ddos|flood*|denial of service",
    "scan": "扫描|端口探测|嗅探|scan*|probe*|sweep*",
    "virus": "病毒|蠕虫|恶意软件|恶意文件|virus*|worm*|malware*|av",
    "information_leak": "信息泄漏|信息泄露|敏感信息|information leak*|information disclosure|disclosure",
    "exploit": "漏洞|溢出|exploit*|overflow|vulnerab*|shellcode",
}
# What administrators do to a device. A kind is its object's words and its verb's: both must occur.
_OPERATIONS: Final = (
    ("config_export", "配置|config*", "导出|备份到|下载|export*|download*|backup*"),
    ("config_import", "配置|config*", "导入|恢复|出厂|import*|restore*|rollback"),
    (
        "log_server_remove",
        "日志服务器|日志外发|外发日志|syslog*|log server|logging",
        "删除|停用|禁用|关闭|移除|delete*|remove*|disable*|unset|no|off|clean",
    ),
    (
        "log_clear",
        "日志|log|logs|logging",
        "清空|清除|删除日志成功|删除日志文件|删除系统日志|删除操作日志|删除审计日志|删除全部日志|删除所有日志|clear*|clean|purge*|erase*|delete log|delete logs",
    ),
    (
        "signature_fail",
        "特征库|规则库|病毒库|ips库|url库|signature*|antivirus database",
        "失败|超时|过期|fail*|error|expire*|timeout|outdated",
    ),
    ("signature_update", "特征库|规则库|病毒库|signature*", "升级|更新|成功|update*|upgrade*"),
    ("firmware_fail", "系统升级|固件|软件升级|软件版本|firmware|system image|image", "失败|错误|fail*|error|invalid"),
    (
        "firmware_update",
        "系统升级|固件|软件升级|软件版本|补丁|firmware|system image",
        "升级|成功|更新|update*|upgrade*|success*",
    ),
    ("license_expire", "授权|许可|license*", "过期|到期|失效|expire*"),
    ("session_limit", "会话|连接数|session*|connection*", "已满|满|超限|超过|上限|full|exceed*|reach*|exhaust*"),
    (
        "ha_switch",
        "双机|主备|热备|ha|vrrp|hsrp",
        "切换|抢占|接管|变为|升主|switch*|state change*|status change*|role change*|changed from|changed to|change to|takeover|failover|become*",
    ),
    ("policy_disable", "策略|规则|防护|policy|rule|acl", "停用|禁用|关闭|disable*"),
    ("policy_delete", "策略|规则|policy|rule|acl", "删除|移除|delete*|remove*"),
    ("policy_add", "策略|规则|policy|rule|acl", "新增|添加|新建|增加|创建|add*|create*|new"),
    ("policy_modify", "策略|规则|policy|rule|acl", "修改|编辑|启用|移动|变更|modif*|edit*|change*|enable*|move*|set"),
    ("password_change", "密码|口令|password|pwd|passwd", "修改|重置|变更|modif*|change*|reset*|set"),
    (
        "account_add",
        "管理员|用户|账号|帐号|account|admin*|manager|user",
        "新增|添加|新建|增加|创建|add|added|create*|new",
    ),
    ("account_delete", "管理员|用户|账号|帐号|account|admin*|manager|user", "删除|delete*|remove*"),
    ("time_change", "系统时间|时钟|ntp|clock|system time", "修改|设置|变更|modif*|change*|set"),
    ("reboot", "设备|系统|system|device|reboot*", "重启|关机|reboot*|restart*|shutdown"),
)
_FAILURES: Final = "失败|错误|不正确|不存在|拒绝|无效|超时|fail*|error*|denied|incorrect|invalid|wrong|reject*"
_DONE: Final = ("成功", "success", "successfully", "successful", "succeeded")
_LOCKS: Final = "锁定|冻结|封锁|locked|lockout|lock out"


class _Spoken(NamedTuple):
    """The beginning of a text, folded: its words between single spaces, and all of it without spaces."""

    words: str
    run: str


def _spoken(value: str) -> _Spoken:
    folded = value[:_LOOKED_AT].lower()
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in folded)
    return _Spoken(f" {' '.join(words.split())} ", folded.replace(" ", ""))


class _Words(NamedTuple):
    """Words to look for in a text."""

    written: tuple[str, ...]  # in letters, between spaces
    anywhere: tuple[str, ...]

    @classmethod
    def of(cls, listed: str) -> _Words:
        """Read ``a|b*|中文``."""
        words = listed.split("|")
        letters = tuple(f" {word[:-1]}" if word[-1] == "*" else f" {word} " for word in words if word.isascii())
        return cls(letters, tuple(word for word in words if not word.isascii()))

    def occur(self, spoken: _Spoken) -> bool:
        return any(word in spoken.words for word in self.written) or any(word in spoken.run for word in self.anywhere)


_VERDICT_WORDS: Final = {name: _Words.of(listed) for name, listed in _VERDICTS.items()}
_LEVEL_WORDS: Final = {name: _Words.of(listed) for name, listed in _LEVELS.items()}
_THREAT_WORDS: Final = {name: _Words.of(listed) for name, listed in _THREATS.items()}
_OPERATION_WORDS: Final = tuple((name, _Words.of(objects), _Words.of(verbs)) for name, objects, verbs in _OPERATIONS)
_FAILURE_WORDS: Final = _Words.of(_FAILURES)
_LOCK_WORDS: Final = _Words.of(_LOCKS)


def _first(value: str, table: Mapping[str, _Words]) -> str:
    spoken = _spoken(value)
    return next((name for name, words in table.items() if words.occur(spoken)), "")


@lru_cache(maxsize=4096)
def _verdict(value: str) -> str:
    return _first(value, _VERDICT_WORDS)


@lru_cache(maxsize=4096)
def _level(value: str) -> str:
    return _first(value, _LEVEL_WORDS)


@lru_cache(maxsize=4096)
def _threat(value: str) -> str:
    return _first(value, _THREAT_WORDS)


def verdict(value: str) -> str:
    """``allow``, ``deny`` or ``alert`` for what a device says it did; "" for words it does not know."""
    return _verdict(value[:_SHORT])


def level(value: str) -> str:
    """``critical``, ``high``, ``medium``, ``low`` or ``info`` for a vendor's severity; "" for words it does not know."""
    return _level(value[:_SHORT])


def threat(value: str) -> str:
    """The kind of attack that a vendor's text names, such as ``sql_injection``; "" when it names none that we know."""
    return _threat(value[:_LOOKED_AT])


def operation(value: str) -> str:
    """What an administrator or the device itself did, such as ``policy_add``; ``config_change`` when nothing narrower fits."""
    return _operation(value[:_LOOKED_AT])


@lru_cache(maxsize=4096)
def _operation(value: str) -> str:
    spoken = _spoken(value)
    for name, objects, verbs in _OPERATION_WORDS:
        if verbs.occur(spoken) and objects.occur(spoken):
            return name
    return "config_change"


def failed(value: str) -> bool:
    """Whether the text says that something did not succeed; its last word counts most: names may say anything."""
    if value.rstrip(" .。").lower().endswith(_DONE):
        return False
    return _FAILURE_WORDS.occur(_spoken(value))


def locked(value: str) -> bool:
    """Whether the text says that an account or address was locked out."""
    return _LOCK_WORDS.occur(_spoken(value))


def present(value: str | None) -> str:
    """The value, "" when the device writes one of the many words for "nothing"."""
    stripped = (value or "").strip()
    return "" if stripped.lower() in _ABSENT else stripped


def observer(event: Event, dataset: str, vendor: str, product: str, kind: str) -> None:
    """Say which device speaks; ``dataset`` is ``module.name``, ``kind`` ECS's ``observer.type``."""
    event["event.module"], event["event.dataset"] = dataset.partition(".")[0], dataset
    event["observer.vendor"], event["observer.product"], event["observer.type"] = vendor, product, kind
    if event.get("host.name") == "localhost":  # many devices call themselves so as delivered
        event["host.name"] = peer_host(str(event.get("log.source.address", "")))


def keyword(event: Event, field: str, value: str | None) -> None:
    """Set a keyword field, unless there is nothing to set."""
    found = present(value)
    if found:
        event[field] = found[:MAX_KEYWORD]


def count(event: Event, field: str, value: str | None) -> None:
    """Set a numeric field from decimal digits."""
    found = number((value or "").strip())
    if found is not None:
        event[field] = found


def endpoint(event: Event, side: str, host: str | None, port: str | None = None) -> None:
    """Set address and port of ``side`` (``source``, ``destination``, ``source.nat``, ...); a name becomes its domain."""
    name = present(host)
    found = address(name) if name else None
    if found is not None:
        event[f"{side}.ip"] = found
    elif name and "." in name and not name[-1:].isdigit():
        event[f"{side}.domain"] = name[:MAX_KEYWORD]
    found_port = number((port or "").strip())
    if found_port is not None and 0 <= found_port <= 65_535:  # noqa: PLR2004 - a port has sixteen bits
        event[f"{side}.port"] = found_port


def transport(event: Event, value: str | None) -> None:
    """Set ``network.transport`` from a protocol's number or name; an application protocol goes to ``network.protocol``."""
    name = present(value).lower()
    name = _PROTOCOLS.get(name, name)
    if name in _TRANSPORTS:
        event["network.transport"] = name
    elif name and not name.isdigit():
        event["network.protocol"] = name[:64]


def user(event: Event, value: str | None) -> None:
    """Set ``user.name``; devices write the address where they do not know the user, and that is none."""
    name = present(value)
    if name and address(name) is None:
        event["user.name"] = name[:256]


def url(event: Event, value: str | None) -> None:
    """Set ``url.*`` from what devices write: with or without a scheme, with or without a host."""
    written = present(value)
    if not written:
        return
    event["url.original"] = text(written)
    scheme, separator, rest = written.partition("://")
    rest = rest if separator and len(scheme) <= 8 else written  # noqa: PLR2004 - "https" and its kind
    host, slash, path = rest.partition("/")
    if host and host[0] not in "?#":
        event["url.domain"] = host.partition("@")[2].partition(":")[0][:255] or host.partition(":")[0][:255]
    path, mark, query = (slash + path).partition("?")
    if path:
        event["url.path"] = text(path)
    if mark:
        event["url.query"] = text(query)


def traffic(event: Event, decision: str) -> None:
    """A connection that a rule of the device let through or refused."""
    event["event.category"] = ["network"]
    event["event.type"] = ["connection", "denied" if decision == DENY else "allowed"]
    event["event.action"] = decision or ALLOW
    event["event.outcome"] = "failure" if decision == DENY else "success"


def attack(event: Event, decision: str, kind: str, severity: str) -> None:
    """An attack that the device recognised; ``kind`` is one of ``threat``'s, ``severity`` one of ``level``'s."""
    category = "malware" if kind in {"virus", "ransomware"} else "intrusion_detection"
    event["event.category"] = [category, "network"]
    event["event.type"] = ["denied" if decision == DENY else "allowed" if decision == ALLOW else "info"]
    event["event.action"] = decision or ALERT
    event["rule.category"] = kind or "exploit"
    if severity:
        event["log.level"] = severity


def login(event: Event, action: str, said: str, *, success: bool | None = None) -> None:
    """A login to the device (``admin_login``) or through it (``vpn_login``, ``user_login``); ``said`` is its own text."""
    event["event.category"] = ["authentication"]
    if locked(said):
        event["event.type"], event["event.action"], event["event.outcome"] = ["denied"], "account_locked", "failure"
        return
    event["event.type"] = ["start"]
    event["event.action"] = action
    done = not failed(said) if success is None else success
    event["event.outcome"] = "success" if done else "failure"


def logout(event: Event, action: str) -> None:
    """The end of such a session: ``admin_logout``, ``vpn_logout``, ``user_logout``."""
    event["event.category"] = ["authentication"]
    event["event.type"] = ["end"]
    event["event.action"] = action
    event["event.outcome"] = "success"


def configuration(event: Event, said: str, *, success: bool | None = None) -> None:
    """A change to the device, or what happened to it."""
    event["event.category"] = ["configuration"]
    event["event.type"] = ["change"]
    event["event.action"] = operation(said)
    done = not failed(said) if success is None else success
    event["event.outcome"] = "success" if done else "failure"


def keep(event: Event, fields: Mapping[str, Any]) -> None:
    """Keep the vendor's own fields in ``original``, where rules and readers find them by the vendor's names."""
    event["original"] = {**event.get("original", {}), **fields}
