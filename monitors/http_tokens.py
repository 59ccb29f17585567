"""Who sends: the token of an HTTP request, in each of the forms that senders have for it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")  # RFC 6750 section 2.1, bounded
_HEADER: Final = re.compile(r"(Bearer|Basic|ApiKey) +([A-Za-z0-9._~+/=:-]{16,1024})", re.IGNORECASE)


def candidates(authorization: str) -> list[str]:
    """Give what may be our token in an ``Authorization`` header; at most two texts, none when it can be no token.

    ``Bearer TOKEN`` (RFC 6750); ``Basic``: the password, whatever the user's name (RFC 7617); ``ApiKey``: as
    Elasticsearch's clients send it, the second half of a base64 pair ``id:key``, or the token itself.
    """
    given = _HEADER.fullmatch(authorization.strip())
    if given is None:
        return []
    scheme, value = given[1].lower(), given[2]
    found = [] if scheme == "basic" else [value]
    if scheme != "bearer":
        found.append(_second_half(value))
    return [token for token in found if _TOKEN.fullmatch(token)]


def _second_half(pair: str) -> str:
    try:
        text = base64.b64decode(pair, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = pair
    return text.partition(":")[2]


def tenant_of(authorization: str, tokens: Mapping[str, str]) -> str | None:
    """Give the tenant of a request's token (``tokens``: SHA-256 in hex -> tenant), compared in constant time."""
    digests = [hashlib.sha256(token.encode()).hexdigest().encode() for token in candidates(authorization)]
    found = None
    for known, tenant in tokens.items():
        for digest in digests:
            if hmac.compare_digest(known.encode(), digest):
                found = tenant
    return found
