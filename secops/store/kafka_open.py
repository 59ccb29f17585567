"""From the settings to the log in Kafka; what is wrong with them is said before anything is opened."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from secops.errors import UserError
from secops.store.kafka import KafkaLog
from secops.store.kafka_client import Place
from secops.store.kafka_topics import make_topics

if TYPE_CHECKING:
    from pathlib import Path

    from secops.settings import Kafka, Log


def open_kafka(settings: Log, *, writable: bool) -> KafkaLog:
    """The log in Kafka; a writing one makes its topics where they are not there.

    Raises:
        UserError: a setting is missing, a file cannot be read, the topics would lose events, Kafka does not answer.
    """
    place, kafka = place_of(settings), settings.kafka
    if not writable:
        return KafkaLog(place)
    make_topics(place, replication=kafka.replication, retention_days=kafka.retention_days)
    return KafkaLog(place, writer=kafka.writer or socket.gethostname())


def place_of(settings: Log) -> Place:
    """Where the log lies, with what librdkafka must be told to get there.

    Raises:
        UserError: a setting is missing, or a file cannot be read.
    """
    kafka = settings.kafka
    if not kafka.bootstrap:
        raise _unset("bootstrap", "broker 地址", "the brokers")
    client = {"bootstrap.servers": kafka.bootstrap, "security.protocol": kafka.security}
    if "ssl" in kafka.security.split("_"):
        client |= _tls(kafka)
    if kafka.security.startswith("sasl"):
        client |= _account(kafka)
    return Place(kafka.topic, settings.partitions, client)


def _tls(kafka: Kafka) -> dict[str, str]:
    files = {
        "ssl.ca.location": kafka.ca_file,
        "ssl.certificate.location": kafka.certificate_file,
        "ssl.key.location": kafka.key_file,
    }
    if (kafka.certificate_file is None) != (kafka.key_file is None):
        raise _unset("key_file" if kafka.key_file is None else "certificate_file", "证书与私钥须成对", "its other half")
    for path in files.values():
        if path is not None:
            _read(path)
    return {name: str(path) for name, path in files.items() if path is not None}


def _account(kafka: Kafka) -> dict[str, str]:
    if not kafka.sasl_username:
        raise _unset("sasl_username", "账号", "the account")
    password = kafka.sasl_password.get_secret_value()
    if kafka.sasl_password_file is not None:
        password = _read(kafka.sasl_password_file).decode(errors="replace").rstrip("\r\n")
    if not password:
        raise _unset("sasl_password_file", "密码", "the password")
    return {
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": password,
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            "log.kafka",
            f"无法读取 {path}：{error.strerror}；请检查 log.kafka 的文件路径与权限",
            f"cannot read {path}: {error.strerror}; check the files named under log.kafka and who may read them",
        ) from None


def _unset(key: str, zh: str, en: str) -> UserError:
    return UserError(
        "log.kafka",
        f"未设置 log.kafka.{key}（{zh}）；见 docs/kafka.md",
        f"log.kafka.{key} is not set ({en}); see docs/kafka.md",
    )
