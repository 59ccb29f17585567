"""``/pki/``: what anybody may fetch to check our certificates, and have stamped with the time.

The authorities' certificates, the CRLs, OCSP (RFC 6960, appendix A), time-stamps (RFC 3161, section 3.4). Served over
HTTPS and over plain HTTP: whoever validates a certificate must not need a certificate for it (RFC 5280, section 8).
Everything here is signed.
"""

from __future__ import annotations

import ssl
from typing import Final

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ca.revocation import decode_get
from secops.api.problems import Refusal

OCSP_RESPONSE: Final = "application/ocsp-response"
CERTIFICATE: Final = "application/pkix-cert"
PEM: Final = "application/x-pem-file"
CRL: Final = "application/pkix-crl"
TIMESTAMP_QUERY: Final = "application/timestamp-query"
TIMESTAMP_REPLY: Final = "application/timestamp-reply"
_LONGEST: Final = 16 * 2**10  # of an OCSP or a time-stamp request


def root_pem(request: Request) -> Response:
    """The root certificate (PEM), as people import it."""
    return _file(request.app.state.service.authority.root_pem(), PEM, 3600)


def root_der(request: Request) -> Response:
    """The root certificate (DER), as certificates point to it."""
    return _file(_der(request.app.state.service.authority.root_pem()), CERTIFICATE, 3600)


def issuing_pem(request: Request) -> Response:
    """The issuing authority's certificate (PEM)."""
    return _file(request.app.state.service.authority.issuing_pem(), PEM, 3600)


def issuing_der(request: Request) -> Response:
    """The issuing authority's certificate (DER)."""
    return _file(_der(request.app.state.service.authority.issuing_pem()), CERTIFICATE, 3600)


def crl(request: Request) -> Response:
    """The issuing authority's CRL (DER)."""
    service = request.app.state.service
    return _file(service.authority.crl(service.clock()), CRL, 0)


def root_crl(request: Request) -> Response:
    """The root's CRL (DER)."""
    return _file(request.app.state.service.authority.root_crl(), CRL, 3600)


def ocsp_get(encoded: str, request: Request) -> Response:
    """Answer an OCSP request in the address: base64 of DER, URL-encoded."""
    return _ocsp(request, decode_get(encoded))


async def ocsp_post(request: Request) -> Response:
    """Answer an OCSP request in the body (DER)."""
    body = await request.body()
    if len(body) > _LONGEST:
        raise Refusal(413, "ocsp.large", "OCSP 请求过大。", "The OCSP request is too large.")
    return await run_in_threadpool(_ocsp, request, body)


async def timestamp(request: Request) -> Response:
    """Stamp a digest with the time: a TimeStampReq (DER) in the body, RFC 3161, section 3.4."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != TIMESTAMP_QUERY:
        raise Refusal(415, "timestamp.type", f"内容类型应为 {TIMESTAMP_QUERY}。", f"Send it as {TIMESTAMP_QUERY}.")
    body = await request.body()
    if len(body) > _LONGEST:
        raise Refusal(413, "timestamp.large", "时间戳请求过大。", "The time-stamp request is too large.")
    service = request.app.state.service
    answer = await run_in_threadpool(service.authority.timestamp, body, service.clock())
    return _file(answer, TIMESTAMP_REPLY, 0)


def _ocsp(request: Request, body: bytes) -> Response:
    service = request.app.state.service
    return _file(service.authority.ocsp(body, service.clock()), OCSP_RESPONSE, 0)


def _file(body: bytes, media_type: str, seconds: int) -> Response:
    caching = f"public, max-age={seconds}" if seconds else "no-store"  # a revocation must show within a second
    return Response(body, media_type=media_type, headers={"Cache-Control": caching})


def _der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))


FILES: Final = (
    ("/root.crt", root_pem),
    ("/root.cer", root_der),
    ("/issuing.crt", issuing_pem),
    ("/issuing.cer", issuing_der),
    ("/crl", crl),
    ("/issuing.crl", crl),
    ("/root.crl", root_crl),
)


def router() -> APIRouter:
    """The routes of this noun."""
    made = APIRouter(tags=["pki"], prefix="/pki")
    for path, endpoint in FILES:
        made.add_api_route(path, endpoint, methods=["GET"], response_class=Response)
    made.add_api_route("/ocsp", ocsp_post, methods=["POST"], response_class=Response)
    made.add_api_route("/timestamp", timestamp, methods=["POST"], response_class=Response)
    made.add_api_route("/ocsp/{encoded:path}", ocsp_get, methods=["GET"], response_class=Response)
    return made
