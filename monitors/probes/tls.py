from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path  # noqa: TC003 - pydantic reads the annotation
from typing import TYPE_CHECKING, Any

from cryptography import x509
from pydantic import Field

from monitors.probe import Probe, ProbeSettings, Seen

if TYPE_CHECKING:
    from datetime import datetime


class TlsProbeSettings(ProbeSettings):
    """A TLS server whose certificate is looked at; ``ca`` is a PEM file to trust beside the system's."""

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=443, ge=1, le=65535)
    server_name: str = ""  # asked for and checked; empty: ``host``
    ca: Path | None = None
    warn_days: int = Field(default=30, ge=0)  # fewer days left than this fails


class TlsProbe(Probe, kind="tls"):
    """Looks at a server's certificate: its end, its names and whether its chain is trusted."""

    Settings = TlsProbeSettings

    def __init__(self, settings: TlsProbeSettings) -> None:
        super().__init__(settings)
        self.settings = settings

    @property
    def subject(self) -> str:
        """The server that is asked."""
        return f"tls://{self.settings.host}:{self.settings.port}"

    async def look(self, now: datetime) -> Seen:
        """Connect, first to see the certificate whatever it is, then to have its chain verified."""
        try:
            detail, not_after = await self._certificate()
        except OSError as error:
            return Seen("fail", {"reason": f"{type(error).__name__}: {error}"[:500]})
        days = (not_after - now).total_seconds() / 86_400
        detail["days_left"] = round(days, 2)
        complaint = "expired" if days < 0 else await self._distrust()
        if not complaint and days < self.settings.warn_days:
            complaint = f"ends in {days:.0f} days"
        return Seen("fail", {**detail, "reason": complaint}) if complaint else Seen("pass", detail)

    async def _certificate(self) -> tuple[dict[str, Any], datetime]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # to look at a bad certificate it must be accepted first; nothing is sent
        der, protocol = await self._connect(context)
        if not der:
            raise ssl.SSLError("the server sent no certificate")
        certificate = x509.load_der_x509_certificate(der)
        detail = {
            "subject": certificate.subject.rfc4514_string(),
            "issuer": certificate.issuer.rfc4514_string(),
            "serial": format(certificate.serial_number, "x"),
            "not_after": certificate.not_valid_after_utc.isoformat(),
            "protocol": protocol,
        }
        return detail, certificate.not_valid_after_utc

    async def _distrust(self) -> str:
        """Say why the chain or the name is not trusted; nothing when it is."""
        context = ssl.create_default_context()
        if self.settings.ca is not None:
            context.load_verify_locations(self.settings.ca)
        try:
            await self._connect(context)
        except ssl.SSLCertVerificationError as error:
            return f"not trusted: {error.verify_message}"
        except OSError as error:
            return f"{type(error).__name__}: {error}"[:500]
        return ""

    async def _connect(self, context: ssl.SSLContext) -> tuple[bytes, str]:
        """Shake hands once, in a thread; give the certificate (DER) and the protocol."""
        return await asyncio.to_thread(self._shake_hands, context)

    def _shake_hands(self, context: ssl.SSLContext) -> tuple[bytes, str]:
        name = self.settings.server_name or self.settings.host
        address = (self.settings.host, self.settings.port)
        with (
            socket.create_connection(address, self.settings.timeout_seconds) as plain,
            context.wrap_socket(plain, server_hostname=name) as session,
        ):
            return session.getpeercert(binary_form=True) or b"", session.version() or ""
