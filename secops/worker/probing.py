"""The service probes itself: its pages over HTTP, its certificates, its disk, the machine's load, the root key that must go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitors import probe
from monitors.schedule import run_probes

if TYPE_CHECKING:
    import asyncio

    from monitors.probe import Probe
    from monitors.record import Sink
    from secops.wiring import Service


async def probe_forever(service: Service, sink: Sink, stop: asyncio.Event) -> None:
    """Probe at the configured interval until ``stop``."""
    await run_probes(own_probes(service), sink, now=service.clock, stop=stop)


def own_probes(service: Service) -> list[Probe]:
    """Give the probes of this installation."""
    settings = service.settings
    every: dict[str, Any] = {"interval_seconds": settings.probes.interval_seconds}
    root = settings.state / "tls" / "root.crt"
    web = {"host": settings.web.public_host, "ca": root, **every}
    described: list[tuple[str, dict[str, Any]]] = [
        ("http", {"url": f"{settings.issuer}/healthz", "ca": root, **every}),
        ("http", {"url": f"http://{settings.web.public_host}:{settings.web.pki_port}/pki/issuing.crl", **every}),
        ("tls", {**web, "port": settings.web.port}),
        ("tls", {**web, "port": settings.web.certificate_port}),
        ("disk", {"path": settings.state, **every}),
        ("load", every),
        ("absent", {"path": service.ca_dir / "offline" / "root.key", **every}),
    ]
    return [probe.build(kind, values) for kind, values in described]
