"""Tell relying parties that a login ended (OpenID Connect Back-Channel Logout 1.0, section 2.5)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_SECONDS = 5.0
DONE = frozenset({200, 204})


class NotTold(Exception):  # noqa: N818 - the outbox shows its text; it is a fact, not a fault of ours
    """Some relying parties could not be told; the outbox tries again."""


def tell(notes: Sequence[tuple[str, str]], trust: bytes) -> None:
    """Post each ``(back-channel logout URI, logout token)``; every party is tried even when one fails.

    ``trust`` is the root certificate (PEM) that is trusted beside the system's.

    Raises:
        NotTold: names the addresses and what they answered.
    """
    if not notes:
        return
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=trust.decode("ascii"))
    failed = []
    with httpx.Client(verify=context, timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False) as client:
        for uri, token in notes:
            if (why := _post(client, uri, token)) is not None:
                failed.append(f"{uri}: {why}")
    if failed:
        raise NotTold("; ".join(failed))


def _post(client: httpx.Client, uri: str, token: str) -> str | None:
    try:
        answer = client.post(uri, data={"logout_token": token})
    except httpx.HTTPError as error:
        return type(error).__name__
    return None if answer.status_code in DONE else f"HTTP {answer.status_code}"
