"""A real Kafka of one node (KRaft, no ZooKeeper) from Maven Central's jars, on free ports, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from waiting import wait_until

VERSION = "4.3.1"
JARS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "secops-tests" / f"kafka-{VERSION}"
ACCOUNT, PASSWORD = "secops", "pass-of-the-Account"
SECURE = """process.roles=broker,controller
node.id=1
listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}
advertised.listeners=SASL_SSL://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
inter.broker.listener.name=SASL_SSL
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  username="broker" password="b" user_broker="b" user_{account}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={trust}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={trust}/root.pem
"""
CLUSTER = "AAAAAAAAQACAAAAAAAAAAQ"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
PROPERTIES = """process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{control}
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
{more}
"""


def missing() -> str:
    """Why there can be no Kafka here; empty when there can."""
    absent = [name for name in ("java", "mvn") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not installed (Debian: openjdk-17-jdk-headless, maven)" if absent else ""


def jars() -> Path:
    """The broker's jars, from Maven Central on first use."""
    libs = JARS / "libs"
    if not (JARS / "complete").exists():
        JARS.mkdir(parents=True, exist_ok=True)
        (JARS / "pom.xml").write_text(POM)
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={libs}", "-DincludeScope=runtime"]
        subprocess.run(["mvn", "-q", "-B", *copy], cwd=JARS, check=True, timeout=300)
        (JARS / "complete").touch()
    return libs


@dataclass
class Broker:
    """One broker; ``stop`` and ``start`` keep its data."""

    folder: Path
    port: int
    classpath: str
    process: subprocess.Popen[bytes] | None = field(default=None)
    client: dict[str, str] = field(default_factory=dict)  # librdkafka's properties beside the address

    @property
    def address(self) -> str:
        """What clients are told."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers."""
        java = [
            "java",
            "-Xms256m",
            "-Xmx512m",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        ]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*java, "-cp", self.classpath, "kafka.Kafka", str(self.folder / "server.properties")],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        wait_until(self._answers, timeout=120, what="Kafka to answer")

    def stop(self, *, kill: bool = False) -> None:
        """End it, in order or not."""
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(60)
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "output").read_text()[-2000:]
        try:
            own = {"bootstrap.servers": self.address, "log_level": 0, "error_cb": _quiet, **self.client}
            AdminClient(own).list_topics(timeout=2)
        except KafkaException:
            return False
        return True


def _quiet(_error: object) -> None:
    """Nothing answers while it starts."""


@contextmanager
def broker(more: str = "", trust: Path | None = None) -> Iterator[Broker]:
    """Format, start, and in the end stop and delete a broker; ``more`` are further properties.

    ``trust`` holds ``broker.pem`` (key and chain) and ``root.pem``: the broker then speaks TLS only, and asks for a password.
    """
    folder = Path(tempfile.mkdtemp(prefix="secops-kafka-"))
    ports = []
    held = [socket.socket() for _ in range(2)]
    for each in held:
        each.bind(("127.0.0.1", 0))
        ports.append(each.getsockname()[1])
    for each in held:
        each.close()
    text = PROPERTIES.format(port=ports[0], control=ports[1], data=folder / "data", more=more)
    users: list[str] = []
    client: dict[str, str] = {}
    if trust is not None:
        places = [
            line for line in text.splitlines() if "listener" not in line and not line.startswith(("process", "node."))
        ]
        secure = SECURE.format(port=ports[0], control=ports[1], account=ACCOUNT, password=PASSWORD, trust=trust)
        text = secure + "\n".join(["controller.listener.names=CONTROLLER", *places, ""])
        for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256"):
            users += ["--add-scram", f"{mechanism}=[name={ACCOUNT},password={PASSWORD}]"]
        client = {
            "security.protocol": "sasl_ssl",
            "ssl.ca.location": str(trust / "root.pem"),
            "sasl.mechanism": "PLAIN",
        }
        client |= {"sasl.username": ACCOUNT, "sasl.password": PASSWORD}
    (folder / "server.properties").write_text(text)
    classpath = f"{jars()}/*"
    tool = ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath, "kafka.tools.StorageTool", "format"]
    done = subprocess.run(
        [*tool, "-t", CLUSTER, "-c", str(folder / "server.properties"), *users],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    made = Broker(folder, ports[0], classpath, client=client)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
