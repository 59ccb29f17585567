"""A process that seals, signs and expires over and over until it is killed, with a clock that runs fast."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from store.witnessing import WITNESS

from secops.store.keeper import Keeper, KeeperBusy
from secops.store.retention import Retention


def main() -> None:
    now = datetime.fromisoformat(sys.argv[2])
    keeper = Keeper(Path(sys.argv[1]), WITNESS, clock=lambda: now)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        try:
            keeper.seal()
            keeper.checkpoint()
            keeper.expire(Retention())
        except KeeperBusy:
            continue
        now += timedelta(hours=12)


main()
