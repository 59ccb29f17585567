"""What goes into the issuer and what comes out: plain values, so that any web framework can stand in front."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """An HTTP request, as raw as the issuer needs it; the edge has bounded the body already."""

    method: str  # GET or POST
    path: str = "/"
    query: str = ""  # undecoded, without "?"
    body: bytes = b""
    content_type: str = ""
    authorization: str = ""  # the Authorization header
    source_ip: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the browser to ``url``: a registered URI of a client, or a page of our own."""

    url: str


@dataclass(frozen=True, slots=True)
class NeedLogin:
    """Show the login page, then come back to ``next`` (a path with query on our own origin)."""

    next: str
    login_hint: str = ""  # a user name to fill in
    acr: str = ""  # the means asked for: one of identity.provider.ACR_*, or "" for any
    client_zh: str = ""
    client_en: str = ""


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Tell the person on a page of our own, because no registered URI may be trusted with the error."""

    status: int
    code: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A JSON answer of a back-channel endpoint; never to be cached unless ``headers`` say so."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LogoutNow:
    """End the current login (if there is one), then go to ``url``, or show "logged out" when it is empty."""

    url: str = ""


@dataclass(frozen=True, slots=True)
class AskLogout:
    """Ask the person first; the form posts ``ticket`` (and nothing else) back to the logout endpoint."""

    ticket: str
    client_zh: str = ""
    client_en: str = ""


AuthorizeResult: TypeAlias = Redirect | NeedLogin | ErrorPage
LogoutResult: TypeAlias = LogoutNow | AskLogout | ErrorPage


class OidcError(Exception):
    """A protocol error: ``code`` is the OAuth error code, ``en`` its ASCII description (RFC 6749, 4.1.2.1 and 5.2)."""

    def __init__(self, code: str, zh: str, en: str, *, status: int = 400) -> None:
        super().__init__(en)
        self.code = code
        self.zh = zh
        self.en = en
        self.status = status
