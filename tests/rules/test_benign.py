"""An ordinary morning of a government network: no rule of the product may raise an alert over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from secops.cli.rule_examples import example_events
from secops.match.detector import Detector
from secops.match.load import load_rules

ROOT = Path(__file__).resolve().parents[2]
RULES = load_rules([ROOT / "rules" / "detection", ROOT / "rules" / "correlation"])

BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36"
)
FLOW = "application HTTPS, interface ethernet0/1, vr trust-vr, policy 3, user -@-, host -, mac 0000.0000.0000"


def web(
    path: str,
    status: int = 200,
    *,
    source: str = "203.0.113.9",
    method: str = "GET",
    size: int = 5120,
    agent: str = BROWSER,
) -> str:
    return f'{source} - - [24/Nov/2026:09:40:00 +0800] "{method} {path} HTTP/1.1" {status} {size} "-" "{agent}"'


def fw(text: str, host: str = "af-01") -> str:
    return f"<134>Nov 24 09:40:01 {host} fwlog: {text}"


LINES = [
    web("/"),
    web("/portal/index.html?lang=zh"),
    web("/search?q=%E9%80%89%E6%8B%A9+select+committee+union+of+writers"),
    web("/news/2026/11/how-to-select-from-a-catalogue.html"),
    web("/api/items?filter=name%20like%20%27wang%27&sort=-date"),
    web("/static/js/app.6f1c.js", 304, size=0),
    web("/upload/2026/11/notice.pdf", size=2_400_000),
    web("/images/banner.png?v=3"),
    web("/download/client-setup.exe", size=180_000_000),
    web("/login", method="POST", status=302, size=0),
    web("/api/login", method="POST", status=401, size=77),
    web("/favicon.ico", 404, size=153),
    web("/robots.txt", agent="Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)"),
    web("/seeyon/main.do?method=login"),
    web("/wui/index.html#/?_key=x"),
    web(
        "/nacos/v1/cs/configs?dataId=portal.yaml&group=DEFAULT_GROUP",
        source="10.30.2.5",
        agent="Nacos-Java-Client:v2.2.0",
    ),
    web("/actuator/health", source="10.30.2.5", agent="kube-probe/1.28"),
    web("/actuator/prometheus", source="10.30.2.6", agent="Prometheus/2.53.0"),
    web("/manager/html", 401, source="10.20.1.15"),
    web("/app;jsessionid=0A1B2C3D", 200),
    web("/docs/log4j-upgrade-notice.html"),
    web("/a.jsp?redirect=/home&action=view"),
    web("/files/%E9%80%9A%E7%9F%A5%20(1).docx"),
    web("/webdav/report.docx", 201, method="PUT"),
    'www.example.gov.cn:443 203.0.113.9 - - [24/Nov/2026:09:40:00 +0800] "GET /index.php HTTP/1.1" 200 - "-" "curl/8.5.0"',
    "[Tue Nov 24 09:40:03.123456 2026] [mpm_event:notice] [pid 1:tid 1] AH00489: Apache/2.4.62 (Unix) configured -- resuming normal operations",
    "[Tue Nov 24 09:40:03.123456 2026] [authz_core:error] [pid 9:tid 2] [client 203.0.113.9:51022] AH01630: client denied by server configuration: /var/www/html/.htaccess",
    '2026/11/24 09:40:01 [error] 1234#1234: *99 open() "/usr/share/nginx/html/a.png" failed (2: No such file or directory), client: 203.0.113.9, server: www.example.gov.cn, request: "GET /a.png HTTP/1.1"',
    fw(
        "日志类型:服务控制或应用控制, 策略名称:办公上网, 用户:lihua, 源IP:10.30.8.20, 源端口:51022, 目的IP:198.51.100.7, 目的端口:443, 应用类型:访问网站, 应用名称:HTTPS, 系统动作:允许"
    ),
    fw(
        "日志类型:服务控制或应用控制, 策略名称:默认拒绝, 用户:(null), 源IP:203.0.113.9, 源端口:51022, 目的IP:10.30.2.11, 目的端口:445, 应用类型:any, 应用名称:any, 系统动作:拒绝"
    ),
    fw(
        "日志类型:服务控制或应用控制, 策略名称:运维, 用户:(null), 源IP:10.20.1.15, 源端口:51022, 目的IP:10.30.2.11, 目的端口:22, 应用类型:any, 应用名称:SSH, 系统动作:允许"
    ),
    fw(
        "日志类型:网站访问, 用户:lihua, 源IP:10.30.8.20, 目的IP:198.51.100.7, 应用名称:新闻, 系统动作:被记录, URL:http://news.example.org/virus-and-mining-news.html"
    ),
    fw(
        "日志类型:NAT日志, NAT类型:snat, 源IP:10.30.8.20, 源端口:52977, 目的IP:198.51.100.7, 目的端口:53, 协议:17, 转换后的IP:203.0.113.2, 转换后的端口:52977"
    ),
    fw(
        "日志类型:WAF应用防护日志, 源IP:203.0.113.9, 源端口:1084, 目的IP:10.30.2.11, 目的端口:80, 攻击类型:SQL 注入, 严重级别:高, 系统动作:拒绝, URL:www.example.gov.cn/a?id=1"
    ),
    fw(
        "日志类型:IPS防护日志, 源IP:203.0.113.9, 源端口:1102, 目的IP:10.30.2.11, 目的端口:80, 协议:tcp, 攻击类型:web漏洞攻击, 漏洞名称:Apache Struts 远程代码执行漏洞, 严重等级:高, 动作:拒绝"
    ),
    fw(
        "日志类型:病毒查杀, 用户:(null), 源IP:10.30.8.20, 源端口:49566, 目的IP:198.51.100.7, 目的端口:80, 病毒类型:木马, 病毒名:Trojan.Generic, 应用名称:HTTP, 严重等级:高, 系统动作:拒绝, URL:http://x.example/a.exe"
    ),
    fw("日志类型:系统操作, 用户:sec-wangwei, IP地址:10.20.1.15, 操作对象:登录, 操作类型:登录, 描述:登录成功"),
    fw(
        "日志类型:系统操作, 用户:sec-wangwei, IP地址:10.20.1.15, 操作对象:应用控制策略, 操作类型:新增, 描述:新增策略 门户访问 源地址:任意 目的地址:10.30.2.11 服务:https 动作:允许 成功"
    ),
    fw(
        "日志类型:系统操作, 用户:sec-wangwei, IP地址:10.20.1.15, 操作对象:IPS特征库, 操作类型:升级, 描述:特征库升级成功"
    ),
    fw("日志类型:用户认证, 用户:lihua, IP地址:10.30.8.20, 操作对象:登录, 描述:认证成功"),
    fw(
        "日志类型:SSL VPN用户行为日志, 用户:lihua, IP地址:203.0.113.9, 操作对象:SSL VPN, 操作:登录, 时间:2026-11-24 09:40:01, 描述:登录成功",
        "vpn-01",
    ),
    fw(
        "日志类型:SSL VPN用户行为日志, 用户:lihua, IP地址:203.0.113.9, 操作对象:OA系统, 操作:访问, 时间:2026-11-24 09:41:01, 描述:访问资源成功",
        "vpn-01",
    ),
    fw(
        "日志类型:SSL VPN用户行为日志, 用户:lihua, IP地址:203.0.113.9, 操作对象:SSL VPN, 操作:注销, 时间:2026-11-24 11:40:01, 描述:注销成功",
        "vpn-01",
    ),
    '<134>Nov 24 09:40:01 10.20.0.2 id=tos time="2026-11-24 09:40:00" fw=fw-zw-01 pri=6 type=conn src=10.30.8.20 dst=198.51.100.7 proto=tcp sport=51022 dport=443 inpkt=12 outpkt=10 sent=1400 rcvd=8000 duration=3 connid=512981098 msg="null"',
    '<134>Nov 24 09:40:01 10.20.0.2 id=tos time="2026-11-24 09:40:00" fw=fw-zw-01 pri=5 type=system user=sec-wangwei src=10.20.1.15 op="login" result=0 recorder=AUTH msg=""',
    f"<190>Nov 24 09:40:01 2812008195003847(root) 44243630 HillstoneNetworks#Traffic@FLOW: SESSION: 10.30.8.20:51022->198.51.100.7:443(TCP), {FLOW}, session start",
    "<190>Nov 24 09:40:01 2812008195003847(root) 46083623 HillstoneNetworks#Traffic@FLOW: NAT: 10.30.8.20:51022->198.51.100.7:443(TCP), snat to 203.0.113.2:51022, vr trust-vr, user -@UNKNOWN, host -, rule 2",
    "<188>Nov 24 09:40:01 2812008195003847(root) 41140601 HillstoneNetworks#Event@SYS: AV updates signature successfully",
    "<188>Nov 24 09:40:01 2812008195003847(root) 43240501 HillstoneNetworks#Event@NET: ARP entry is created, 10.30.8.20, 741f.4a3b.aa01, trust-vr",
    "<134>Nov 24 09:40:01 gw-07 CEF:0|Fortinet|FortiGate|7.0|13|Traffic allowed|3|act=accept src=10.30.8.20 dst=198.51.100.7 dpt=443 proto=TCP",
    "<134>Nov 24 09:40:01 gw-07 LEEF:1.0|Acme|Proxy|2.0|access|src=10.30.8.20\tdst=198.51.100.7\tusrName=lihua\tact=allowed",
]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(RULES)


@pytest.mark.parametrize("line", LINES)
def test_an_ordinary_line_raises_nothing(detector: Detector, line: str) -> None:
    events = example_events([{"format": "syslog" if line[0] == "<" else "line", "raw": line}])
    raised = [found.rule.info.title for found in detector.engine.find(events) if found.rule.info.alert]
    assert raised == []
