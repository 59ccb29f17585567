"""The log's two topics: made when they are not there, and refused when what is there would lose events.

A topic of events keeps whole events for at least the six months that the Cybersecurity Law (article 21) asks for; that of
positions is compacted, so that it stays as small as there are sources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from secops.errors import UserError
from secops.store.kafka_client import MAX_MESSAGE, LogAway
from secops.store.retention import LEGAL_DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.store.kafka_client import Place

DAY_MS: Final = 86_400_000
ANSWER_SECONDS: Final = 20.0


class TopicUnfit(UserError):  # noqa: N818 - a state of the topic, named as people say it
    """A topic that exists would not keep what it is given."""

    def __init__(self, topic: str, zh: str, en: str) -> None:
        super().__init__("log.topic", f"Kafka 主题 {topic}：{zh}", f"the Kafka topic {topic} {en}")


def make_topics(place: Place, *, replication: int, retention_days: int) -> None:
    """Make the topics that are not there and look at those that are.

    Raises:
        TopicUnfit: a topic has another number of partitions, or settings that lose events.
        LogAway: Kafka does not answer or refuses to make them.
    """
    admin = AdminClient(place.properties())
    with_copies = {"min.insync.replicas": str(max(replication - 1, 1)), "max.message.bytes": str(MAX_MESSAGE)}
    kept = {"retention.ms": str(retention_days * DAY_MS), "cleanup.policy": "delete"}
    kept |= {"message.timestamp.type": "LogAppendTime"}  # days count from the brokers' clock, not from a sender's
    wanted = [
        NewTopic(place.topic, place.partitions, replication, config={**with_copies, **kept}),
        NewTopic(place.positions, 1, replication, config={**with_copies, "cleanup.policy": "compact"}),
    ]
    for new in wanted:
        if not _exists(admin, place, new.topic, new.num_partitions):
            place.patiently(lambda new=new: _make(admin, new))  # type: ignore[misc]
    _check(place.topic, _settings(admin, place, place.topic), policy="delete")
    _check(place.positions, _settings(admin, place, place.positions), policy="compact")


def check_partitions(place: Place, found: int, topic: str, wanted: int) -> None:
    """Refuse a topic with another number of partitions than was set: hosts would change theirs.

    Raises:
        TopicUnfit: it has.
    """
    if found != wanted:
        raise TopicUnfit(
            topic,
            f"有 {found} 个分区，配置为 {wanted} 个；请设 log.partitions={found}（{place.brokers}）",
            f"has {found} partitions, not {wanted}; set log.partitions to {found} ({place.brokers})",
        )


def _known(admin: AdminClient, topic: str) -> Any:  # noqa: ANN401 - the client has no types
    """Ask for the topic; what librdkafka says of brokers that let nobody in comes with its callbacks only."""
    try:
        return admin.list_topics(topic, timeout=ANSWER_SECONDS)
    except KafkaException:
        admin.poll(0)
        raise


def _exists(admin: AdminClient, place: Place, topic: str, partitions: int) -> bool:
    known = place.patiently(lambda: _known(admin, topic)).topics.get(topic)
    if known is None or (known.error is not None and known.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART):
        return False
    if known.error is not None:
        raise place.away(KafkaException(known.error))
    check_partitions(place, len(known.partitions), topic, partitions)
    return True


def _make(admin: AdminClient, new: NewTopic) -> None:
    try:
        admin.create_topics([new], operation_timeout=ANSWER_SECONDS)[new.topic].result(ANSWER_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another machine was quicker
            raise


def _settings(admin: AdminClient, place: Place, topic: str) -> Mapping[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    found = place.patiently(lambda: admin.describe_configs([resource])[resource].result(ANSWER_SECONDS))
    return {name: entry.value for name, entry in found.items()}


def _check(topic: str, settings: Mapping[str, str], *, policy: str) -> None:
    if settings.get("cleanup.policy") != policy:
        raise TopicUnfit(
            topic, f"cleanup.policy 须为 {policy}，否则会丢失数据", f"needs cleanup.policy={policy}, or it loses events"
        )
    if int(settings.get("max.message.bytes", MAX_MESSAGE)) < MAX_MESSAGE:
        raise TopicUnfit(
            topic,
            f"max.message.bytes 须不小于 {MAX_MESSAGE}，否则大日志无法入库",
            f"needs max.message.bytes of at least {MAX_MESSAGE}, or a large event holds up all others",
        )
    days = int(settings.get("retention.ms", "-1")) / DAY_MS
    if policy == "delete" and (0 <= days < LEGAL_DAYS or int(settings.get("retention.bytes", "-1")) >= 0):
        raise TopicUnfit(
            topic,
            f"保存期不足六个月（retention.ms 须不小于 {LEGAL_DAYS} 天或为 -1，retention.bytes 须为 -1）",
            f"keeps less than six months (retention.ms must be -1 or at least {LEGAL_DAYS} days, retention.bytes -1)",
        )


def keep_at_least(place: Place, days: int) -> bool:
    """Have the topic of events keep them for ``days``, where it would keep them shorter; whether it had to be changed.

    It is never made shorter here: what Kafka deletes is gone, so that is a person's act.

    Raises:
        TopicUnfit: the account may not change it; the text says what to set.
        LogAway: Kafka does not answer.
    """
    admin = AdminClient(place.properties())
    now = int(_settings(admin, place, place.topic).get("retention.ms", "-1"))
    wanted = days * DAY_MS
    if now < 0 or now >= wanted:
        return False
    change = ConfigEntry("retention.ms", str(wanted), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, place.topic, incremental_configs=[change])
    try:
        place.patiently(lambda: admin.incremental_alter_configs([resource])[resource].result(ANSWER_SECONDS))
    except LogAway as error:
        raise TopicUnfit(
            place.topic,
            f"只保存 {now // DAY_MS} 天，而有单位须保存 {days} 天；请设 retention.ms={wanted}（{error.en}）",
            f"keeps events for {now // DAY_MS} days, and {days} are needed; set retention.ms={wanted} ({error.en})",
        ) from error
    return True
