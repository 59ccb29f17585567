"""The web role: console, API and single sign-on; certificate login; CRL and OCSP. Three ports, one process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from secops import app, serving, status
from secops.worker.start import web_credentials

if TYPE_CHECKING:
    from secops.wiring import Service

REPORT_SECONDS = 1.0


def run(service: Service) -> None:
    """Serve until told to end."""
    asyncio.run(_serve(service))


async def _serve(service: Service) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    web = service.settings.web
    listeners = [
        serving.Listener(serving.bind(web.host, web.port), app.create_app(service)),
        serving.Listener(
            serving.bind(web.host, web.certificate_port),
            app.create_certificate_app(service),
            client_authorities=service.authority.chain_pem().decode("ascii"),
        ),
        serving.Listener(serving.bind(web.host, web.pki_port), app.create_pki_app(service), plain=True),
    ]
    reporting = asyncio.ensure_future(_report(service, stop))
    reading = asyncio.ensure_future(asyncio.to_thread(lambda: service.rules))  # so that the first visitor need not wait
    try:
        await serving.serve(listeners, lambda: serving.Credentials(*web_credentials(service)), stop)
    finally:
        stop.set()
        await reporting
        await asyncio.gather(reading, return_exceptions=True)


async def _report(service: Service, stop: asyncio.Event) -> None:
    while not stop.is_set():
        status.report(service.run_dir, "web", {}, service.clock())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), REPORT_SECONDS)
