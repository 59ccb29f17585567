from __future__ import annotations

import asyncio
import importlib
from collections import defaultdict
from pathlib import Path  # noqa: TC003 - pydantic reads it when the settings are made
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field, SecretStr

from monitors.collector import Collector, CollectorSettings, stopped_within, submit_patiently
from monitors.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.record import Sink

_TAKE: Final = 500
_WAIT_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 30.0  # for partitions that were added
_RETRY_SECONDS: Final = 2.0


class KafkaSettings(CollectorSettings):
    """A topic of a tenant's own Kafka."""

    bootstrap: str = Field(min_length=1)  # brokers, separated by commas
    topic: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    format: Literal["json", "line", "syslog"] = "json"
    start: Literal["beginning", "end"] = "beginning"  # of a partition without a stored position
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    sasl_password_file: Path | None = None
    group: str = "secops"  # as brokers see us; the place lies with the events, not there
    max_message: int = Field(default=1 << 20, ge=480, le=16 << 20)  # bytes; what is longer is kept in part


class KafkaCollector(Collector, kind="kafka"):
    """Follows a topic; each partition's offset lies in the same durable write as its events, so none is lost or doubled."""

    Settings = KafkaSettings

    def __init__(self, settings: KafkaSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self.settings = settings
        self._source = f"{self.kind}:{settings.bootstrap}/{settings.topic}"
        self._places: dict[int, int] = {}  # partition -> next offset, as durable
        self._begun: set[int] = set()  # partitions that this run follows
        self._why = ""

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Take messages until ``stop``.

        Raises:
            OSError: the client is not installed, or the password cannot be read.
        """
        consumer = await asyncio.to_thread(self._open)
        self._begun.clear()
        looked = -_LOOK_SECONDS
        clock = asyncio.get_running_loop().time
        try:
            while not stop.is_set():
                if clock() - looked >= _LOOK_SECONDS or not self._begun:
                    if not await self._find(consumer):
                        await stopped_within(stop, _RETRY_SECONDS)
                        continue
                    looked = clock()
                messages = await asyncio.to_thread(consumer.consume, _TAKE, _WAIT_SECONDS)
                if not await self._submit([each for each in messages if not each.error()], sink, now, stop):
                    return
                self._tell([each.error() for each in messages if each.error()])
                self.ready.set()
        finally:
            await asyncio.to_thread(consumer.close)
            self.failing("已停止", "stopped")

    async def _find(self, consumer: Any) -> bool:  # noqa: ANN401 - the client is an extra
        """Begin every partition that is new at its stored offset; say whether the topic answers."""
        kafka = importlib.import_module("confluent_kafka")
        topic = self.settings.topic
        try:
            known = (await asyncio.to_thread(consumer.list_topics, topic, _ANSWER_SECONDS)).topics[topic]
        except kafka.KafkaException as error:
            self._fail(error.args[0].str())
            return False
        if known.error is not None:
            self._fail(known.error.str())
            return False
        fresh = [partition for partition in known.partitions if partition not in self._begun]
        first = kafka.OFFSET_BEGINNING if self.settings.start == "beginning" else kafka.OFFSET_END
        for partition in fresh:
            stored = self.surroundings.positions.get(f"{self._source}/{partition}", first)
            self._places.setdefault(partition, int(stored))  # of a run before this one: it is newer
        if fresh:
            self._begun.update(fresh)
            consumer.incremental_assign([kafka.TopicPartition(topic, p, self._places[p]) for p in fresh])
        self.running(f"正在读取 {len(self._places)} 个分区", f"reading {len(self._places)} partitions")
        return True

    async def _submit(
        self, messages: Sequence[Any], sink: Sink, now: Callable[[], datetime], stop: asyncio.Event
    ) -> bool:
        received, by_partition = now(), defaultdict[int, list[Record]](list)
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if message.value() is None or offset < self._places[partition]:  # a mark of deletion; seen already
                continue
            by_partition[partition].append(self._record(message, received))
        records = [record for each in by_partition.values() for record in each]
        if not records:
            return True
        self.counters.received[self.kind] += len(records)
        self.counters.rejected[self.kind] += sum(1 for record in records if record.error)
        if not await submit_patiently(sink, records, stop):
            return False
        for record in records:
            assert record.position is not None
            self._places[int(record.position[0].rpartition("/")[2])] = int(record.position[1])
        return True

    def _record(self, message: Any, received: datetime) -> Record:  # noqa: ANN401 - the client is an extra
        value, partition, settings = message.value(), message.partition(), self.settings
        return Record(
            raw=value[: settings.max_message],
            received=received,
            collector=self.kind,
            peer=f"{settings.topic}/{partition}",
            tenant=self.tenant,
            format=settings.format,
            position=(f"{self._source}/{partition}", message.offset() + 1),
            error="oversized" if len(value) > settings.max_message else "",
        )

    def _tell(self, errors: Sequence[Any]) -> None:
        if errors:
            self._fail(errors[-1].str())
        elif not self._why:
            self.running(f"正在读取 {len(self._places)} 个分区", f"reading {len(self._places)} partitions")
        else:
            self._fail(self._why)
        self._why = ""

    def _fail(self, why: str) -> None:
        self.failing(f"无法读取 {self._source}：{why[:200]}", f"cannot read {self._source}: {why[:200]}")

    def _open(self) -> Any:  # noqa: ANN401 - the client is an extra
        try:
            kafka = importlib.import_module("confluent_kafka")
        except ModuleNotFoundError as error:
            raise OSError("the Kafka client is not installed; run pip install 'secops[kafka]'") from error
        return kafka.Consumer(
            {
                **_client(self.settings),
                "group.id": self.settings.group,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",  # of what is no longer kept
                "queued.max.messages.kbytes": 32_768,
                "log_level": 0,
                "error_cb": self._remember,
            }
        )

    def _remember(self, error: Any) -> None:  # noqa: ANN401 - the client is an extra
        self._why = error.str()


def _client(settings: KafkaSettings) -> dict[str, str]:
    """What librdkafka must be told to reach the brokers.

    Raises:
        OSError: the password's file cannot be read.
    """
    files = {
        "ssl.ca.location": settings.ca_file,
        "ssl.certificate.location": settings.certificate_file,
        "ssl.key.location": settings.key_file,
    }
    client = {"bootstrap.servers": settings.bootstrap, "security.protocol": settings.security}
    client |= {name: str(path) for name, path in files.items() if path is not None}
    if settings.security.startswith("sasl"):
        password = settings.sasl_password.get_secret_value()
        if settings.sasl_password_file is not None:
            password = settings.sasl_password_file.read_text(encoding="utf-8").rstrip("\r\n")
        client |= {"sasl.mechanism": settings.sasl_mechanism, "sasl.username": settings.sasl_username}
        client["sasl.password"] = password
    return client
