"""OpenID Connect RP-Initiated Logout 1.0, as a decision: log out, ask first, or refuse.

The person is asked unless the request carries an ID token of ours (as hint) for the login that is open in the browser:
otherwise any page could log people out. No redirect goes to an address that the client did not register.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from identity.oidc import clients
from identity.oidc.keys import ID_TOKEN
from identity.oidc.messages import AskLogout, LogoutNow, OidcError
from identity.oidc.tickets import PARAMETER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.oidc.clients import Client
    from identity.oidc.keys import KeyRing
    from identity.oidc.tickets import Tickets
    from identity.provider import Session


def decide(
    tx: Tx, parameters: Mapping[str, str], session: Session | None, *, keys: KeyRing, tickets: Tickets, now: datetime
) -> LogoutNow | AskLogout:
    """Decide about a logout request.

    Raises:
        OidcError: the hint is not an ID token of ours, or names another client, or the return address is not registered.
    """
    if PARAMETER in parameters:
        return _answered(tx, parameters[PARAMETER], session, tickets, now)
    hint = _hint(tx, parameters.get("id_token_hint", ""), keys, now)
    client = _client(tx, parameters.get("client_id", ""), hint)
    url = _return_address(client, parameters)
    if session is None or (hint is not None and hint.get("sid") == session.id):
        # without a hint nobody vouches for the address, and there is no login left to ask about
        return LogoutNow(url if hint is not None else "")
    ticket = tickets.make(tx, "logout", {"sid": session.id, "url": url}, now)
    return AskLogout(ticket, client.name_zh if client else "", client.name_en if client else "")


def _answered(tx: Tx, ticket: str, session: Session | None, tickets: Tickets, now: datetime) -> LogoutNow:
    claims = tickets.read(tx, "logout", ticket, now)
    if claims is None or (session is not None and claims.get("sid") != session.id):
        raise OidcError(
            "invalid_request", "确认页面已失效，请重新退出", "the confirmation is out of date; log out again"
        )
    return LogoutNow(str(claims["url"]))


def _hint(tx: Tx, token: str, keys: KeyRing, now: datetime) -> dict[str, Any] | None:
    """Read the hint; one that has expired is still good (RP-Initiated Logout 1.0, 2)."""
    if not token:
        return None
    claims = keys.verify(tx, token, typ=ID_TOKEN, now=now)
    if claims is None:
        raise OidcError("invalid_request", "id_token_hint 不是本系统签发的", "id_token_hint is not an ID token of ours")
    return claims


def _client(tx: Tx, client_id: str, hint: Mapping[str, Any] | None) -> Client | None:
    audience = str(hint["aud"]) if hint is not None else ""
    if client_id and audience and client_id != audience:
        raise OidcError("invalid_request", "id_token_hint 属于其他系统", "id_token_hint was issued to another client")
    return clients.get(tx, client_id or audience)


def _return_address(client: Client | None, parameters: Mapping[str, str]) -> str:
    url = parameters.get("post_logout_redirect_uri", "")
    if not url:
        return ""
    if client is None or url not in client.post_logout_uris:
        raise OidcError("invalid_request", "退出后的返回地址未登记", "post_logout_redirect_uri is not registered")
    state = parameters.get("state", "")
    return with_query(url, {"state": state}) if state else url


def with_query(url: str, parameters: Mapping[str, str]) -> str:
    """Add parameters to a registered URI, which may have a query of its own (RFC 6749, 4.1.2) but no fragment."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"
