"""A process that appends to a log until it is killed: the writer of the crash tests.

Acts like a collector with a positioned source per partition mix: event k of the source is made from k alone, the
position says how far the source was read. Each durable append is told on standard output: one line, the position.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from secops.store.files import FileLog


def main() -> None:
    log = FileLog(Path(sys.argv[1]), writable=True, reserve_bytes=0, segment_bytes=60_000)
    draw = random.Random(int(sys.argv[2]))
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
