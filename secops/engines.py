"""Which engine stands behind which shape: the event log's and the search index's. Nothing else in the service chooses one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from secops.errors import UserError
from secops.store.files import FileLog
from secops.store.sqlite import SqliteIndex

if TYPE_CHECKING:
    from pathlib import Path

    from secops.settings import Log as LogSettings
    from secops.settings import Settings
    from secops.store.index import Index
    from secops.store.log import Log


def open_log(settings: LogSettings, folder: Path, *, writable: bool = False) -> Log:
    """The event log of the engine in the settings.

    Raises:
        UserError: the settings of the engine are wrong, it cannot be reached, or its client is not installed.
    """
    match settings.engine:
        case "files":
            return FileLog(
                folder,
                partitions=settings.partitions,
                writable=writable,
                segment_bytes=settings.segment_bytes,
                segment_age=timedelta(hours=settings.segment_hours),
                reserve_bytes=settings.reserve_bytes,
            )
        case "kafka":
            try:
                from secops.store.kafka_open import open_kafka  # noqa: PLC0415 - its client is an extra
            except ModuleNotFoundError as error:
                raise UserError(
                    "log.client",
                    f"未安装 Kafka 客户端（{error.name}）；请运行 pip install 'secops[kafka]'",
                    f"the Kafka client is not installed ({error.name}); run pip install 'secops[kafka]'",
                ) from None
            return open_kafka(settings, writable=writable)


def open_index(settings: Settings, folder: Path, log: Log, *, writable: bool) -> Index:
    """The search index of the engine in the settings.

    Raises:
        UserError: the settings of the engine are wrong, or its client is not installed.
    """
    match settings.index.engine:
        case "sqlite":
            return SqliteIndex(folder, log, writable=writable)
        case "elasticsearch":
            try:
                from secops.store.elasticsearch_open import open_elastic  # noqa: PLC0415 - its client is an extra
            except ModuleNotFoundError as error:
                raise UserError(
                    "index.client",
                    f"未安装 Elasticsearch 客户端（{error.name}）；请运行 pip install 'secops[elasticsearch]'",
                    f"the Elasticsearch client is not installed ({error.name}); run pip install 'secops[elasticsearch]'",
                ) from None
            return open_elastic(settings.index, writable=writable)
