"""Evidence packs: seconds to build and to verify one of ten thousand exhibits."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from secops.bench.figures import Figure, stopwatch
from secops.bench.throwaway import installation
from secops.evidence import bundle, verify
from secops.records import Exhibit

NUMBER: Final = 10_000
SIZE: Final = 2400


def measure() -> list[Figure]:
    """Build and verify a pack of 24 MB."""
    with installation() as service:
        now = service.clock()
        exhibits = [
            Exhibit(
                tenant="city",
                path=f"events/{n:05d}.json",
                media_type="application/json",
                content=(b'{"n":%d}' % n).ljust(SIZE),
            )
            for n in range(NUMBER)
        ]
        out = service.evidence_dir / "bench.zip"
        root = service.authority.root_fingerprint()
        with stopwatch() as building:
            bundle.build(
                exhibits,
                scope={"tenant": "city"},
                window=(now - timedelta(hours=1), now),
                sign=lambda data: service.authority.sign_manifest(data, now),
                now=now,
                out=out,
                roots=[root],
            )
        with stopwatch() as verifying:
            report = verify.verify(str(out), [root])
        if report.code != 0:
            raise RuntimeError(str(report.findings))
    return [
        Figure(name="pack build, 10,000 files, 24 MB", value=building.wall, unit="s", higher_is_better=False),
        Figure(name="pack verify", value=verifying.wall, unit="s", higher_is_better=False),
    ]
