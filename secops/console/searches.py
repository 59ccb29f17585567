"""Searches that somebody keeps, for himself or shared with his organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from identity.principal import Permission
from secops import searches
from secops.console.visit import Page, Routes

if TYPE_CHECKING:
    from starlette.responses import Response

    from secops.console.visit import Visit

KEPT: Final = ("q", "range", "from", "to", "columns", "facets")  # of an address; nothing else comes back into a page


def save(visit: Visit) -> Response:
    """Keep the search of the page that the form stood on."""
    address = cleaned(visit.value("address", limit=4000))
    with visit.service.database.begin() as tx:
        searches.save(
            tx,
            owner=visit.principal.account_id,
            author=visit.principal.username,
            tenant=visit.principal.organization_id,
            name=visit.value("name", limit=100),
            address=address,
            shared=visit.value("shared") == "yes",
            now=visit.now,
        )
    return visit.to(f"/events?{address}", "search-kept")


def rename(visit: Visit) -> Response:
    """Name one's own search anew, share it or not."""
    with visit.service.database.begin() as tx:
        searches.rename(
            tx,
            visit.number("search_id"),
            visit.value("name", limit=100),
            shared=visit.value("shared") == "yes",
            owner=visit.principal.account_id,
            now=visit.now,
        )
    return visit.to("/events", "search-kept")


def delete(visit: Visit) -> Response:
    """Delete one's own search."""
    with visit.service.database.begin() as tx:
        searches.delete(tx, visit.number("search_id"), owner=visit.principal.account_id, now=visit.now)
    return visit.to("/events", "search-gone")


def cleaned(address: str) -> str:
    """The query string with what a search consists of, and nothing else."""
    given = dict(parse_qsl(address, max_num_fields=20))
    return urlencode({name: given[name] for name in KEPT if given.get(name)})[:4000]


ROUTES: Routes = (
    Page("POST", "/events/searches", save, Permission.EVENTS_READ),
    Page("POST", "/events/searches/{search_id}", rename, Permission.EVENTS_READ),
    Page("POST", "/events/searches/{search_id}/delete", delete, Permission.EVENTS_READ),
)
