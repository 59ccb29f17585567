"""What visitors see when something cannot be done: the login page, a problem document, or a page with the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from starlette.responses import HTMLResponse, RedirectResponse

from secops.api.problems import json_response, wants_json
from secops.console.visit import language_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from secops.api.problems import Problem
    from secops.console.rendering import Pages


def answer(request: Request, problem: Problem, pages: Pages) -> Response:
    """The answer to a problem; needs no database, which may be the very thing that is broken."""
    if wants_json(request):
        return json_response(problem)
    if problem.code == "login.needed":
        return RedirectResponse(f"/login?{urlencode({'next': _way_back(request)})}", 303)
    lang = language_of(request, pages.texts)
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after else {}
    return HTMLResponse(pages.render_problem(lang, problem, _form_of(request)), problem.status, headers)


def _form_of(request: Request) -> str:
    """The page of ours whose form was sent, as the browser names it; "" when nothing was sent, or it names none."""
    sent = urlsplit(request.headers.get("referer", ""))
    if request.method == "GET" or sent.netloc != request.url.netloc or not sent.path.startswith("/"):
        return ""
    return "/" + sent.path.lstrip("/") + (f"?{sent.query}" if sent.query else "")


def _way_back(request: Request) -> str:
    """Where to return to after the login: the page itself, not the target of a form."""
    if request.method != "GET":
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
