"""A real Elasticsearch of the test session: built from Maven Central's jars, one process on loopback.

``SECOPS_TEST_ELASTICSEARCH`` names a running server in its place; then nothing is started, and it must answer.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from waiting import wait_until

GIVEN = "SECOPS_TEST_ELASTICSEARCH"
SOURCES = Path(__file__).parent / "elastic" / "server"
RELEASE = "17"  # of Java, for which this release of the server is made


class ElasticServer:
    """One node: its folder stays when it ends, so that it can be started again."""

    def __init__(self, url: str, command: list[str] | None = None, folder: Path | None = None) -> None:
        self.url, self._command, self._folder = url, command, folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ours(self) -> bool:
        """Whether it may be killed."""
        return self._command is not None

    def start(self) -> None:
        assert self._command is not None
        assert self._folder is not None
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self._folder)
        self.wait()

    def wait(self) -> None:
        """Until the node answers and has its indices."""
        wait_until(self._answers, timeout=150, interval=0.2, what=f"Elasticsearch at {self.url}; {self._tail()}")

    def kill(self) -> None:
        """End it at once, as a power cut would end the process."""
        self._end(lambda process: process.kill())

    def stop(self) -> None:
        self._end(lambda process: process.terminate())

    def roll_over(self, stream: str) -> None:
        """Begin a new backing index, as a life-cycle policy or an administrator would."""
        httpx.post(f"{self.url}/{stream}/_rollover", timeout=60, trust_env=False).raise_for_status()

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self._process is not None:
            how(self._process)
            self._process.wait(60)
            self._process = None

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            pytest.fail(f"Elasticsearch ended: {self._tail()}")
        try:
            answer = httpx.get(
                f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=5s", timeout=10, trust_env=False
            )
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK

    def _tail(self) -> str:
        log = (self._folder or Path("/nowhere")) / "server.log"
        return log.read_text(errors="replace")[-2000:] if log.is_file() else ""


def open_server(folder: Path) -> ElasticServer:
    """The session's server, started; skips with the reason where Java or Maven is missing, fails where they do not work."""
    if given := os.environ.get(GIVEN):
        server = ElasticServer(given)
        server.wait()
        return server
    java, maven = _java(), shutil.which("mvn")
    if java is None or maven is None:
        pytest.skip(f"Elasticsearch needs a JDK {RELEASE} (openjdk-{RELEASE}-jdk-headless) and Maven (maven)")
    port, transport = _free_ports()
    command = [
        str(java / "java"),
        *("-Xms512m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
        *("-cp", _build(java, maven, folder), "org.elasticsearch.node.TestServer"),
        *(str(folder / "home"), str(port), str(transport)),
    ]
    server = ElasticServer(f"http://127.0.0.1:{port}", command, folder)
    server.start()
    return server


def _java() -> Path | None:
    """The ``bin`` of a JDK of the right release."""
    homes = [os.environ.get("JAVA_HOME", ""), *map(str, sorted(Path("/usr/lib/jvm").glob(f"java-{RELEASE}-*")))]
    for bins in (Path(home) / "bin" for home in homes if home):
        if (bins / "javac").is_file() and f" {RELEASE}." in _output([str(bins / "javac"), "-version"]):
            return bins
    return None


def _build(java: Path, maven: str, folder: Path) -> str:
    """Fetch the jars, which Maven keeps for the next time, and compile the launcher; gives the class path."""
    jars, classes = folder / "jars.txt", folder / "classes"
    environment = {**os.environ, "JAVA_HOME": str(java.parent)}
    for how in (["-o"], []):
        fetched = subprocess.run(
            [
                maven,
                "-q",
                "-B",
                *how,
                "-f",
                SOURCES / "pom.xml",
                "dependency:build-classpath",
                f"-Dmdep.outputFile={jars}",
            ],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=600,
        )
        if fetched.returncode == 0:
            break
    else:
        pytest.fail(f"Maven cannot fetch the Elasticsearch jars: {fetched.stdout[-2000:]}")
    sources = [str(path) for path in sorted((SOURCES / "src").rglob("*.java"))]
    subprocess.run(
        [java / "javac", "-nowarn", "-proc:none", "-cp", jars.read_text(), "-d", classes, *sources],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return f"{classes}:{jars.read_text()}"


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def _output(command: list[str]) -> str:
    return " " + subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout
