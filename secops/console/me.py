"""The visitor's own page: who am I, how did I log in, where else am I logged in; and the choice of language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.api import session as sessions
from secops.api.problems import Refusal
from secops.console.texts import LANGUAGE_COOKIE, LANGUAGES
from secops.console.tickets import organisation_names
from secops.console.visit import Access, Page, Routes

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

YEAR: Final = 365 * 86400


def show(visit: Visit) -> Response:
    """Account, session and sessions elsewhere."""
    identity, principal = visit.service.identity, visit.principal
    return visit.page(
        "me.html",
        account=identity.account(principal.account_id),
        sessions=identity.sessions(principal.account_id, visit.now),
        certificates=visit.service.authority.find(account_id=principal.account_id, limit=20, now=visit.now),
        names=organisation_names(visit),
    )


def end_sessions(visit: Visit) -> Response:
    """End all of one's own sessions, this one too: a stolen cookie is worth nothing after it."""
    visit.service.identity.end_sessions(
        visit.principal.account_id, reason="ended by the person", actor=visit.principal, now=visit.now
    )
    response = visit.to("/login", "sessions")
    sessions.clear_cookie(response)
    return response


def language(visit: Visit) -> Response:
    """Remember the language and go back."""
    chosen = visit.value("language")
    if chosen not in LANGUAGES:
        raise Refusal(400, "language.unknown", "没有这种语言。", "There is no such language here.")
    response = visit.to(sessions.safe_next(visit.value("next", "/")))
    response.set_cookie(LANGUAGE_COOKIE, chosen, YEAR, path="/", secure=True, httponly=True, samesite="lax")
    return response


ROUTES: Routes = (
    Page("GET", "/me", show, Access.SIGNED_IN),
    Page("POST", "/me/sessions/end", end_sessions, Access.SIGNED_IN),
    Page("POST", "/lang", language, Access.PUBLIC),
)
