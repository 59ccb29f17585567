"""Settings of the certificate authority; built by the caller and handed in."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """What an installation decides about its own authority."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    organization: Annotated[str, Field(min_length=1, max_length=64)] = "示范市政务云"
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "CN"
    # Where the certificates say that CRL, OCSP and the issuers' certificates are served: <base_url>/issuing.crl,
    # /root.crl, /ocsp, /issuing.cer, /root.cer. Plain http by design: these are signed themselves, and a client that
    # must check a TLS certificate cannot need TLS for it (RFC 5280 section 8).
    base_url: Annotated[str, Field(pattern="^https?://[!-~]{1,180}$")] = "http://127.0.0.1:8080/pki"
    crl_hours: Annotated[int, Field(ge=2, le=168)] = 24  # life of a CRL; a new one is signed at half of it
    ocsp_minutes: Annotated[int, Field(ge=5, le=10_080)] = 60  # life of an OCSP answer
    backdate_minutes: Annotated[int, Field(ge=0, le=60)] = 5  # for the clocks of those who rely on us
    clock_tolerance_seconds: Annotated[int, Field(ge=0, le=600)] = (
        60  # how far back behind the newest record is no alarm
    )
    timestamp_policy: Annotated[str, Field(pattern=r"^[012](\.(0|[1-9]\d{0,39}))+$", max_length=128)] = (
        "2.25.192410926403391754908826071437405612031"  # of no registry (ITU-T X.667); an own arc takes its place
    )
    ocsp_request_bytes: Annotated[int, Field(ge=256, le=65_536)] = 4096

    def url(self, name: str) -> str:
        """Give the public address of ``name`` (issuing.crl, ocsp, ...)."""
        return f"{self.base_url.rstrip('/')}/{name}"
