"""Ready configuration for senders: one entry a kind, each a text with this installation's host, port, CA file and token in place.

What the sender's port is comes from the settings; a collector that nobody configured yet is said to be missing, with the lines
of ``secops.toml`` that open it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secops.console.labels import N_

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.settings import Settings

TOKEN: Final = "{token}"  # noqa: S105 - a placeholder, no password
CA_FILE: Final = "/etc/ssl/certs/secops-root.crt"
OTHER_UDP: Final = 5141  # of a syslog listener that is there for TLS: a listener has a UDP port in any case
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Sender:
    """A kind of sender."""

    title: str  # message id
    collector: str  # kind that takes its events
    port: int  # when the collector says none
    file: str  # where the snippet goes on the sender, "" for commands
    text: str  # with {host}, {port}, {ca}, {token}
    tls: bool = True
    token: bool = False  # it names a token; the others belong to the listener's tenant or to their certificate's
    port_key: str = "port"  # setting of the collector that holds the port
    runbook: str = ""  # below runbooks/: what to do when nothing arrives


_QUEUE: Final = """queue.type="LinkedList" queue.filename="secops" queue.maxDiskSpace="1g"
       queue.saveOnShutdown="on" action.resumeRetryCount="-1" template="RSYSLOG_SyslogProtocol23Format")
"""

SENDERS: Final[Mapping[str, Sender]] = {
    "rsyslog-relp": Sender(
        N_("rsyslog over RELP with TLS (recommended: acknowledged when durable)"),
        "relp",
        2514,
        "/etc/rsyslog.d/60-secops.conf",
        """# apt install rsyslog-relp / dnf install rsyslog-relp
module(load="omrelp")
action(type="omrelp" target="{host}" port="{port}"
       tls="on" tls.caCert="{ca}" tls.authMode="name" tls.permittedPeer=["{host}"]
       """
        + _QUEUE,
        runbook="sender-rsyslog.md",
    ),
    "rsyslog-tcp": Sender(
        N_("rsyslog over TCP"),
        "syslog",
        5514,
        "/etc/rsyslog.d/60-secops.conf",
        """action(type="omfwd" target="{host}" port="{port}" protocol="tcp"
       """
        + _QUEUE,
        tls=False,
        port_key="tcp_port",
        runbook="sender-rsyslog.md",
    ),
    "rsyslog-tls": Sender(
        N_("rsyslog over TLS (RFC 5425)"),
        "syslog",
        6514,
        "/etc/rsyslog.d/60-secops.conf",
        """# apt install rsyslog-openssl / dnf install rsyslog-openssl
global(defaultNetstreamDriverCAFile="{ca}")
action(type="omfwd" target="{host}" port="{port}" protocol="tcp" TCP_Framing="octet-counted"
       StreamDriver="ossl" StreamDriverMode="1" StreamDriverAuthMode="x509/name"
       StreamDriverPermittedPeers="{host}"
       """
        + _QUEUE,
        port_key="tcp_port",
        runbook="sender-rsyslog.md",
    ),
    "rsyslog-elasticsearch": Sender(
        N_("rsyslog with a token (omelasticsearch)"),
        "elastic_bulk",
        9201,
        "/etc/rsyslog.d/60-secops.conf",
        """# apt install rsyslog-elasticsearch / dnf install rsyslog-elasticsearch
module(load="omelasticsearch")
template(name="secops" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
  property(outname="host.name" name="hostname" format="jsonf")
  property(outname="process.name" name="programname" format="jsonf")
}}
action(type="omelasticsearch" server="{host}" serverport="{port}" usehttps="on" tls.cacert="{ca}"
       uid="rsyslog" pwd="{token}" searchIndex="logs" searchType="" bulkmode="on" template="secops"
       queue.type="LinkedList" queue.filename="secops" queue.maxDiskSpace="1g"
       queue.saveOnShutdown="on" action.resumeRetryCount="-1")
""",
        token=True,
        runbook="sender-rsyslog.md",
    ),
    "filebeat": Sender(
        "Filebeat",
        "elastic_bulk",
        9201,
        "/etc/filebeat/filebeat.yml",
        """filebeat.inputs:
  - type: filestream
    id: secops
    paths: [/var/log/*.log]
setup.ilm.enabled: false
setup.template.enabled: false
output.elasticsearch:
  hosts: ["https://{host}:{port}"]
  username: secops
  password: "{token}"
  ssl.certificate_authorities: ["{ca}"]
  allow_older_versions: true
""",
        token=True,
        runbook="sender-filebeat.md",
    ),
    "logstash": Sender(
        "Logstash",
        "elastic_bulk",
        9201,
        "/etc/logstash/conf.d/60-secops.conf",
        """output {{
  elasticsearch {{
    hosts => ["https://{host}:{port}"]
    user => "logstash"
    password => "{token}"
    ssl_certificate_authorities => ["{ca}"]
    index => "logs"
    action => "create"
    manage_template => false
    ilm_enabled => false
    data_stream => false
  }}
}}
""",
        token=True,
        runbook="sender-logstash.md",
    ),
    "vector": Sender(
        "Vector",
        "http_push",
        8446,
        "/etc/vector/vector.yaml",
        """sources:
  files:
    type: file
    include: [/var/log/*.log]
sinks:
  secops:
    type: http
    inputs: [files]
    uri: https://{host}:{port}/v1/events
    method: post
    encoding: {{codec: json}}
    framing: {{method: newline_delimited}}
    request: {{headers: {{Content-Type: application/x-ndjson}}}}
    auth: {{strategy: bearer, token: "{token}"}}
    tls: {{ca_file: "{ca}"}}
    acknowledgements: {{enabled: true}}
    buffer: {{type: disk, max_size: 1073741824}}
""",
        token=True,
        runbook="sender-vector.md",
    ),
    "fluent-bit": Sender(
        "Fluent Bit",
        "http_push",
        8446,
        "/etc/fluent-bit/fluent-bit.conf",
        """[INPUT]
    Name         tail
    Path         /var/log/*.log
    DB           /var/lib/fluent-bit/secops.db
[OUTPUT]
    Name         http
    Match        *
    Host         {host}
    Port         {port}
    URI          /v1/events
    Format       json_lines
    Json_Date_Key    @timestamp
    Json_Date_Format iso8601
    Header       Authorization Bearer {token}
    Compress     gzip
    Retry_Limit  no_limits
    tls          On
    tls.verify   On
    tls.ca_file  {ca}
""",
        token=True,
        runbook="sender-fluent-bit.md",
    ),
    "opentelemetry": Sender(
        N_("OpenTelemetry Collector"),
        "otlp",
        4318,
        "/etc/otelcol-contrib/config.yaml",
        """# mkdir -p /var/lib/otelcol/secops, owned by the user the collector runs as
extensions:
  file_storage:
    directory: /var/lib/otelcol/secops
receivers:
  filelog:
    include: [/var/log/*.log]
    storage: file_storage
exporters:
  otlphttp/secops:
    endpoint: https://{host}:{port}
    headers: {{Authorization: "Bearer {token}"}}
    tls: {{ca_file: "{ca}"}}
    sending_queue: {{storage: file_storage}}
    retry_on_failure: {{max_elapsed_time: 0s}}
service:
  extensions: [file_storage]
  pipelines:
    logs:
      receivers: [filelog]
      exporters: [otlphttp/secops]
""",
        token=True,
        runbook="sender-opentelemetry.md",
    ),
    "huawei": Sender(
        N_("Huawei switch or router (VRP)"),
        "syslog",
        5514,
        "",
        """system-view
info-center enable
info-center timestamp log date
info-center source default channel loghost log level informational
info-center loghost {host} port {port}
ntp-service unicast-server NTP-SERVER
""",
        tls=False,
        port_key="udp_port",
        runbook="sender-huawei.md",
    ),
    "h3c": Sender(
        N_("H3C switch or router (Comware)"),
        "syslog",
        5514,
        "",
        """system-view
info-center enable
info-center timestamp loghost iso with-timezone
info-center source default loghost level informational
info-center loghost {host} port {port}
ntp-service unicast-server NTP-SERVER
""",
        tls=False,
        port_key="udp_port",
        runbook="sender-h3c.md",
    ),
    "http": Sender(
        N_("Plain HTTP push"),
        "http_push",
        8446,
        "",
        """printf 'Authorization: Bearer %s\\n' '{token}' > secops.header && chmod 600 secops.header
curl --cacert {ca} -H @secops.header --data-binary @events.jsonl https://{host}:{port}/v1/events
""",
        token=True,
        runbook="sender-acknowledged.md",
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sender reaches the service."""

    host: str
    port: int
    reachable: bool  # a collector listens there, and not on loopback alone
    tls: bool
    wanted: str  # lines of secops.toml that open it; "" when it is open


def place(settings: Settings, kind: str, tenant: str) -> Place:
    """Where senders of ``kind`` reach ``tenant``: a configured collector, else what there is by default, on loopback."""
    sender = SENDERS[kind]
    for described in settings.ingest.collectors.values():
        if described.get("kind") == sender.collector and _serves(sender, described, tenant):
            port = described.get(sender.port_key, sender.port)
            secured = bool(described.get("tls") or described.get("certificate"))
            outside = described.get("host", "127.0.0.1") not in LOOPBACK
            return Place(
                settings.web.public_host,
                int(port or sender.port),
                outside,
                secured,
                "" if outside else _lines(sender, tenant),
            )
    defaults = {"syslog": settings.ingest.syslog_port, "http_push": settings.ingest.push_port}
    own = defaults.get(sender.collector) if settings.ingest.defaults and not _needs_tls(sender) else None
    return Place(settings.web.public_host, own or sender.port, False, False, _lines(sender, tenant))


def snippet(kind: str, where: Place, token: str) -> str:
    """The configuration of a sender."""
    sender = SENDERS[kind]
    text = sender.text.format(host=where.host, port=where.port, ca=CA_FILE, token=token or "TOKEN")
    if not where.tls and not where.wanted:
        text = text.replace("https://", "http://")
    return text


def _serves(sender: Sender, described: Mapping[str, Any], tenant: str) -> bool:
    """Whether a listener takes events of the tenant: a token or a certificate says whose they are, else the listener."""
    if sender.collector == "syslog" and bool(described.get("tls")) != sender.tls:
        return False
    if sender.token or described.get("tenant", "city") == tenant:
        return True
    tls = described.get("tls")
    return isinstance(tls, dict) and tenant in dict(tls.get("peers") or {}).values()


def _needs_tls(sender: Sender) -> bool:
    return sender.collector == "syslog" and sender.tls


def _lines(sender: Sender, tenant: str) -> str:
    name = sender.collector.replace("_", "-") + ("-tls" if _needs_tls(sender) else "")
    name += "" if sender.token else f"-{tenant}"
    lines = [f"[ingest.collectors.{name}]", f'kind = "{sender.collector}"', 'host = "0.0.0.0"']
    if sender.collector == "syslog":
        udp = OTHER_UDP if _needs_tls(sender) else sender.port
        lines += [f"udp_port = {udp}", f"tcp_port = {sender.port}"]
    else:
        lines.append(f"port = {sender.port}")
    if sender.token:
        lines += ['certificate = "/etc/secops/server.crt"', 'key = "/etc/secops/server.key"']
    else:
        lines.append(f'tenant = "{tenant}"')
        if sender.tls:
            files = 'certificate_file = "/etc/secops/server.crt", key_file = "/etc/secops/server.key"'
            lines.append(f"tls = {{ {files} }}")
    return "\n".join(lines) + "\n"
