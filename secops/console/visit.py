"""One request for a page: who asks, in which language, what was sent; and the table entry that leads to it.

Every page is a plain function ``Visit -> Response`` with an entry in its module's ``ROUTES``; the entry says who may
come in, so a page without an answer to that question cannot be written. Forms are checked before the page sees them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl, quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from identity.principal import ANYWHERE, Permission, Principal, Resource, can
from identity.provider import IdentityError
from secops.alert.attack import name_of
from secops.api import session as sessions
from secops.api.problems import Forbidden, LoginNeeded, NotFound, Refusal
from secops.console import refusals
from secops.console.texts import DEFAULT, LANGUAGE_COOKIE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from starlette.requests import Request

    from identity.provider import Session
    from secops.alert.attack import Technique
    from secops.console.rendering import Pages
    from secops.console.texts import Texts
    from secops.wiring import Service

_MOST_FIELDS: Final = 100
MAX_DIGITS: Final = 18  # of a number in an address: what a database takes
Kind = TypeVar("Kind", bound=StrEnum)


class Access(StrEnum):
    """Who may come in, where it is not a permission that decides."""

    PUBLIC = "public"
    SIGNED_IN = "signed in"


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of a page module's route table."""

    method: str
    path: str
    endpoint: Callable[[Visit], Response]
    access: Permission | Access


Routes: TypeAlias = "tuple[Page, ...]"


@dataclass(slots=True, kw_only=True)
class Visit:
    """What a page function gets."""

    request: Request
    service: Service
    pages: Pages
    now: datetime
    session: Session | None
    texts: Texts
    form: dict[str, list[str]] = field(default_factory=dict)
    fresh_secret: str = ""  # a form cookie made for this answer, for a visitor who had none

    @property
    def principal(self) -> Principal:
        """Who is logged in.

        Raises:
            LoginNeeded: nobody is.
        """
        if self.session is None:
            raise LoginNeeded
        return self.session.principal

    @property
    def source_ip(self) -> str:
        """The address of the peer's socket."""
        return self.request.client.host if self.request.client else ""

    def query(self, name: str, default: str = "", limit: int = 2000) -> str:
        """A query parameter, stripped and cut."""
        return self.request.query_params.get(name, default).strip()[:limit]

    def value(self, name: str, default: str = "", limit: int = 20_000) -> str:
        """A form field, stripped and cut."""
        return self.form.get(name, [default])[0].strip()[:limit]

    def secret(self, name: str) -> str:
        """A form field exactly as typed: a password's spaces count."""
        return self.form.get(name, [""])[0][:1000]

    def values(self, name: str) -> list[str]:
        """Every value of a form field, as of checkboxes."""
        return self.form.get(name, [])

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def number(self, name: str) -> int:
        """A part of the path that is an id.

        Raises:
            NotFound: it is no number that could be one.
        """
        text = self.part(name)
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
            raise NotFound
        return int(text)

    def can(self, permission: Permission, resource: Resource = ANYWHERE) -> bool:
        """Whether the visitor may."""
        return bool(can(self.session.principal if self.session else None, permission, resource))

    def need(self, permission: Permission, resource: Resource = ANYWHERE) -> None:
        """Go on only if the visitor may.

        Raises:
            LoginNeeded, Forbidden: he may not.
        """
        decision = can(self.principal, permission, resource)
        if not decision:
            raise Forbidden(decision.reason)

    def tenant(self, tenant: str, assignee: str = "") -> Resource:
        """The resource of an organisation's thing."""
        return Resource(organization_path=self.service.identity.path(tenant), assignee=assignee)

    def visible_tenants(self) -> frozenset[str] | None:
        """Whose data lists may show; None for everybody's."""
        return self.service.identity.visible_tenants(self.principal)

    def technique(self, technique: str) -> Technique | None:
        """What a technique of ATT&CK is called."""
        return name_of(technique, self.service.techniques)

    def form_token(self) -> str:
        """The token for this page's forms."""
        secret = sessions.token_of(self.request) or self.request.cookies.get(sessions.FORM_COOKIE, "")
        if not secret:
            secret = self.fresh_secret = self.fresh_secret or secrets.token_urlsafe(32)
        return sessions.form_token(secret)

    def page(self, template: str, code: int = 200, **context: Any) -> Response:  # noqa: ANN401 - templates take anything
        """An HTML page."""
        response = HTMLResponse(self.pages.render(self, template, context), code)
        if self.fresh_secret:
            response.set_cookie(
                sessions.FORM_COOKIE, self.fresh_secret, path="/", secure=True, httponly=True, samesite="lax"
            )
        return response

    def to(self, path: str, done: str = "") -> Response:
        """Send the browser to a page of ours, where ``done`` (a key of ``labels.DONE``) is said."""
        mark = f"{'&' if '?' in path else '?'}done={quote(done)}" if done else ""
        return RedirectResponse(path + mark, 303)


def member(kind: type[Kind], text: str) -> Kind | None:
    """The member of a closed set that a visitor named, or None."""
    return kind(text) if text in {one.value for one in kind} else None


def language_of(request: Request, known: Iterable[str]) -> str:
    """The visitor's language: the cookie's, else Chinese."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, DEFAULT)
    return chosen if chosen in known else DEFAULT


def open_visit(request: Request, form: dict[str, list[str]], pages: Pages) -> Visit:
    """Look at who asks; touches the database."""
    service = request.app.state.service
    return Visit(
        request=request,
        service=service,
        pages=pages,
        now=service.clock(),
        session=sessions.session_of(request),
        texts=pages.texts[language_of(request, pages.texts)],
        form=form,
    )


def admit(visit: Visit, access: Permission | Access) -> None:
    """Let the visitor in, or raise LoginNeeded or Forbidden."""
    if access is Access.PUBLIC:
        return
    visit.principal  # noqa: B018 - raises LoginNeeded
    if isinstance(access, Permission):
        visit.need(access)


def route(page: Page, pages: Pages, own_origin: str) -> Route:
    """The Starlette route of a table entry."""

    def answer(request: Request, form: dict[str, list[str]]) -> Response:
        visit = open_visit(request, form, pages)
        try:
            admit(visit, page.access)
            if page.method == "POST":
                sessions.check_form(request, visit.value(sessions.FORM_FIELD), own_origin)
            return page.endpoint(visit)
        except (Refusal, IdentityError) as refused:
            if page.method == "POST":
                refusals.record(visit, refused.code, str(refused))
            raise

    async def endpoint(request: Request) -> Response:
        form = await read_form(request) if page.method == "POST" else {}
        return await run_in_threadpool(answer, request, form)

    return Route(page.path, endpoint, methods=[page.method], include_in_schema=False, name=f"{page.method} {page.path}")


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a URL-encoded form.

    Raises:
        Refusal: another content type, bytes that are not UTF-8, or too many fields.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Refusal(415, "form.type", "请使用页面上的表单提交。", "Send the form of the page.")
    body = await request.body()
    form: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Refusal(400, "form.broken", "表单内容无法识别。", "The form cannot be read.") from None
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form
