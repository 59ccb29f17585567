"""A private rsyslogd that sends the lines of a file, each to one target."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from senders.receiving import Receiver

RSYSLOGD = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
NEEDED = ("omrelp", "omelasticsearch", "lmnsd_gtls", "lmnsd_ossl")


def missing() -> str:
    """What is not installed here; empty when everything is."""
    if not Path(RSYSLOGD).exists():
        return "rsyslogd (Debian: rsyslog)"
    found = {path.stem for path in Path("/usr/lib").glob("*/rsyslog/*.so")}
    return ", ".join(name for name in NEEDED if name not in found)


def action(kind: str, receiver: Receiver) -> str:
    """The action that sends to ``receiver`` over one transport, as docs/sources.md shows it."""
    certificate, key = receiver.client
    port = receiver.ports
    patient = 'action.resumeRetryCount="-1" action.resumeInterval="1"'
    shutdown = 'queue.timeoutShutdown="10000" queue.timeoutActionCompletion="10000"'
    queue = f'queue.type="LinkedList" queue.filename="{kind}" queue.size="100000" queue.saveOnShutdown="on" {shutdown} {patient}'
    rfc5424 = 'template="RSYSLOG_SyslogProtocol23Format"'
    counted = f'type="omfwd" protocol="tcp" TCP_Framing="octet-counted" {rfc5424}'
    secured = f'tls="on" tls.caCert="{receiver.trust}" tls.myCert="{certificate}" tls.myPrivKey="{key}"'
    return {
        "udp": f'action(type="omfwd" target="127.0.0.1" port="{port["syslog"]}" protocol="udp" template="RSYSLOG_TraditionalForwardFormat")',
        "tcp": f'action({counted} target="127.0.0.1" port="{port["syslog"]}" {queue})',
        "tls-gtls": f'action({counted} target="localhost" port="{port["tls"]}" StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost" {queue})',
        "tls-openssl": f'action({counted} target="localhost" port="{port["tls"]}" StreamDriver="ossl" StreamDriverMode="1" StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost" {queue})',
        "relp": f'action(type="omrelp" target="127.0.0.1" port="{port["relp"]}" {rfc5424} {queue})',
        "relp-tls": f'action(type="omrelp" target="localhost" port="{port["relps"]}" {secured} tls.authMode="name" tls.permittedPeer=["localhost"] {rfc5424} {queue})',
        "omelasticsearch": f'action(type="omelasticsearch" server="127.0.0.1" serverport="{port["bulk"]}" uid="rsyslog" pwd="{receiver.token}" searchIndex="logs" searchType="" bulkmode="on" template="ecs" {queue})',
    }[kind]


CONFIGURATION = """\
global(workDirectory="{work}" localHostname="web01.example.test" defaultNetstreamDriverCAFile="{trust}"
  defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imfile")
module(load="omrelp" tls.tlslib="openssl")
module(load="omelasticsearch")
template(name="ecs" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
  property(outname="host.name" name="hostname" format="jsonf")
  property(outname="process.name" name="programname" format="jsonf")
}}
input(type="imfile" File="{file}" Tag="app:" Severity="info" Facility="local3" freshStartTail="off" persistStateInterval="50")
{action}
"""


@dataclass
class Sender:
    """rsyslogd over a folder of its own, where it keeps its place in the file and what it could not send."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def made(cls, folder: Path, kind: str, receiver: Receiver) -> Sender:
        """Write the configuration for one transport."""
        work = folder / "work"
        work.mkdir(parents=True)
        certificate, key = receiver.client
        text = CONFIGURATION.format(
            work=work,
            trust=receiver.trust,
            certificate=certificate,
            key=key,
            file=folder / "app.log",
            action=action(kind, receiver),
        )
        (folder / "send.conf").write_text(text)
        (folder / "app.log").touch()
        return cls(folder)

    def start(self) -> None:
        """Start it in the foreground; it complains into a file."""
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(
                [RSYSLOGD, "-n", "-f", self.folder / "send.conf", "-i", self.folder / "pid"],
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def stop(self) -> None:
        """End it in order: it writes down what it still has to send."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def write(self, lines: Iterable[str]) -> None:
        """Append lines to the file it follows."""
        with (self.folder / "app.log").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def said(self) -> str:
        """What it complained about."""
        return (self.folder / "out").read_text(errors="replace")[-3000:]
