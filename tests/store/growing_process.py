"""A process that appends small batches of two partitions over and over until it is killed, in small segments."""

from __future__ import annotations

import sys
from pathlib import Path

from secops.store.files import FileLog


def main() -> None:
    log = FileLog(Path(sys.argv[1]), partitions=2, writable=True, reserve_bytes=0, segment_bytes=20_000)
    number = 0
    while True:
        log.append(
            {p: [{"organization.id": "a", "number": number + k} for k in range(30)] for p in range(2)}, {"s": number}
        )
        number += 30
        if number == 30:
            sys.stdout.write("ready\n")
            sys.stdout.flush()


main()
