"""A process that appends to a log in Kafka until it is killed, as tests/store/appender.py does to the embedded one."""

from __future__ import annotations

import random
import sys

from secops.store.kafka import KafkaLog
from secops.store.kafka_client import Place


def main() -> None:
    log = KafkaLog(Place(sys.argv[1], 4, {"bootstrap.servers": sys.argv[2]}), writer="appender")
    draw = random.Random(int(sys.argv[3]))
    position = log.positions().get("source", 0)
    while True:
        count = draw.randint(1, 800)
        batches: dict[int, list[dict[str, object]]] = {}
        for number in range(position, position + count):
            batches.setdefault(number * 7 % 11 % 4, []).append({"number": number, "message": "x" * (number % 300)})
        position += count
        log.append(batches, {"source": position})
        sys.stdout.write(f"{position}\n")
        sys.stdout.flush()


main()
