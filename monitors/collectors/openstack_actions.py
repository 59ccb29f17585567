from __future__ import annotations

import re
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from pydantic import Field

from monitors.collector import Collector
from monitors.pull import Pull, PullSettings, host_of
from monitors.pull_cursor import Item, Window
from monitors.pull_http import Asker, Reading, Request, query
from monitors.pull_trouble import Trouble, Words

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from monitors.collector import Surroundings
    from monitors.pull_http import Answer
    from monitors.record import Sink

_VERSION: Final = "compute 2.66"  # changes-before of actions; OpenStack Stein
_MOST: Final = 200
_KNOWN: Final = 10_000  # ended actions remembered, so that they are not asked for again
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_ADDRESS: Final = re.compile(r"(?P<origin>https://[^/]+)(?P<path>(?:/[A-Za-z0-9._-]{1,64})*)")
_UNAUTHORIZED: Final = 401


class OpenstackActionsSettings(PullSettings):
    """Actions on servers that Nova records; the key file holds an application credential's ``id`` and ``secret``."""

    identity_url: str = Field(max_length=300)  # Keystone's, e.g. https://ctl.example:5000/v3
    compute_url: str = Field(max_length=300)  # Nova's, e.g. https://ctl.example:8774/v2.1
    region: str = Field(default="RegionOne", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    all_projects: bool = True  # needs a role that may list every project's servers; else those of its own project
    requests_per_second: float = Field(default=5.0, gt=0, le=100)


class OpenstackActionsCollector(Collector, kind="openstack_actions"):
    """Pulls actions on servers from OpenStack's Nova, with a token of Keystone's (Identity API v3)."""

    Settings = OpenstackActionsSettings

    def __init__(self, settings: OpenstackActionsSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._pull = Pull(self, settings, Actions(settings, surroundings.endpoints))

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Pull until ``stop``."""
        await self._pull.run(sink, now, stop)


class Place(NamedTuple):
    """Where a service answers."""

    host: str
    path: str


class Actions:
    """Servers changed since the span began, of each its actions, of each of those its events.

    Addresses come from the settings, never from Keystone's catalogue, which a stranger may have written.
    """

    needed: tuple[str, ...] = ("id", "secret")
    optional: tuple[str, ...] = ()
    kept = timedelta(days=365)  # until somebody purges the database

    def __init__(self, settings: OpenstackActionsSettings, allowed: frozenset[str]) -> None:
        self._identity = place_of(settings.identity_url, allowed)
        self._compute = place_of(settings.compute_url, allowed)
        self._region, self._all = settings.region, settings.all_projects
        self.name = f"{self._identity.host}/{settings.region}"
        self.reading = Reading(words, {})
        self._token, self._until = "", datetime.min.replace(tzinfo=UTC)
        self._ended: OrderedDict[tuple[str, str, str], Item] = OrderedDict()

    def account(self, key: dict[str, str]) -> str:
        """Requests are counted by application credential."""
        return key["id"]

    async def pages(self, asker: Asker, window: Window, key: dict[str, str]) -> AsyncGenerator[Sequence[Item], None]:
        """See ``Trail.pages``; a page is what one server went through."""
        marker, span = "", f"{window.start:%Y-%m-%dT%H:%M:%SZ}"
        while True:
            # No changes-before here: a server that was touched once more since would not be listed for what it did before.
            pairs = [("changes-since", span), ("limit", str(_MOST))]
            pairs += [("all_tenants", "true")] if self._all else []
            pairs += [("marker", marker)] if marker else []
            answer = await self._get(asker, f"/servers?{query(pairs)}", key)
            servers = _tables(answer, "servers")
            for server in servers:
                async for items in self._server(asker, window, key, server):
                    yield items
            following = _id(servers[-1], "id") if servers and _has_more(answer, "servers_links") else ""
            if not following or following == marker:
                return
            marker = following

    async def _server(
        self, asker: Asker, window: Window, key: dict[str, str], server: dict[str, Any]
    ) -> AsyncGenerator[Sequence[Item], None]:
        number, marker = _id(server, "id"), ""
        span = [
            ("changes-since", f"{window.start:%Y-%m-%dT%H:%M:%SZ}"),
            ("changes-before", f"{window.end + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"),
            ("limit", str(_MOST)),
        ]
        while number:
            target = f"/servers/{number}/os-instance-actions"
            pairs = [*span, ("marker", marker)] if marker else span
            answer = await self._get(asker, f"{target}?{query(pairs)}", key)
            actions = _tables(answer, "instanceActions")
            yield [await self._item(asker, key, server, target, action) for action in actions]
            following = _id(actions[-1], "request_id") if actions and _has_more(answer, "links") else ""
            if not following or following == marker:
                return
            marker = following

    async def _item(
        self, asker: Asker, key: dict[str, str], server: dict[str, Any], target: str, action: dict[str, Any]
    ) -> Item:
        """One action with its events, which say how it ended."""
        request = _id(action, "request_id")
        known = (target, request, str(action.get("updated_at")))
        if (item := self._ended.get(known)) is not None:
            return item
        if request:
            detail = (await self._get(asker, f"{target}/{request}", key)).document.get("instanceAction")
            action = {**action, **detail} if isinstance(detail, dict) else action
        item, over = told(action, server, self._region)
        if over:
            self._ended[known] = item
            if len(self._ended) > _KNOWN:
                self._ended.popitem(last=False)
        return item

    async def _get(self, asker: Asker, target: str, key: dict[str, str]) -> Answer:
        """Ask Nova, once more with a new token if the one at hand is not taken."""
        if asker.now() >= self._until:
            await self._authenticate(asker, key)
        try:
            return await asker.ask(partial(self._request, target))
        except Trouble as trouble:
            if trouble.status != _UNAUTHORIZED:
                raise
        await self._authenticate(asker, key)
        return await asker.ask(partial(self._request, target))

    def _request(self, target: str, _at: datetime) -> Request:
        headers = {"x-auth-token": self._token, "openstack-api-version": _VERSION}
        return Request("GET", self._compute.host, self._compute.path + target, headers)

    async def _authenticate(self, asker: Asker, key: dict[str, str]) -> None:
        answer = await asker.ask(partial(token_request, self._identity, key))
        token, about = answer.headers.get("x-subject-token", ""), answer.document.get("token")
        expires = _moment(about.get("expires_at")) if isinstance(about, dict) else None
        if not token or expires is None:
            raise Trouble("malformed", f"{self._identity.host}: no token")
        self._token, self._until = token, expires - timedelta(minutes=1)


def place_of(url: str, allowed: frozenset[str]) -> Place:
    """Read an address; its host must be an allowed one.

    Raises:
        ValueError: it is no HTTPS address of plain words, or its host is not allowed.
    """
    found = _ADDRESS.fullmatch(url.rstrip("/"))
    return Place(host_of(found["origin"] if found else url, allowed), found["path"] if found else "")


def token_request(identity: Place, key: Mapping[str, str], _at: datetime) -> Request:
    """``POST /v3/auth/tokens`` with an application credential."""
    credential = {"id": key["id"], "secret": key["secret"]}
    body = {"auth": {"identity": {"methods": ["application_credential"], "application_credential": credential}}}
    headers = {"content-type": "application/json"}
    return Request("POST", identity.host, f"{identity.path}/auth/tokens", headers, orjson.dumps(body))


def told(action: Mapping[str, Any], server: Mapping[str, Any], region: str) -> tuple[Item, bool]:
    """An action in the shape of a notification, which Nova would have sent of it, and whether it is over.

    ``….error`` when it or one of its events failed, ``….end`` when all of them succeeded, else ``….start``: an action that
    is seen twice in its life is told twice, as a notification would be.
    """
    events = [event for event in action.get("events") or () if isinstance(event, dict)]
    results = [str(event.get("result") or "") for event in events]
    failed = bool(action.get("message")) or "Error" in results
    over = failed or (bool(results) and all(result == "Success" for result in results))
    phase = "error" if failed else "end" if over else "start"
    name = f"compute.instance.{action.get('action')}.{phase}"
    payload = {**action, "instance_id": action.get("instance_uuid"), "display_name": server.get("name")}
    notification = {
        "event_type": name,
        "publisher_id": f"nova-api.{region}",
        "message_id": f"{action.get('request_id')}",
        "timestamp": action.get("start_time"),
        "payload": payload,
    }
    number = f"{action.get('instance_uuid')} {action.get('request_id')} {name}"
    return Item(number, _moment(action.get("start_time")), orjson.dumps(notification)), over


def words(document: dict[str, Any]) -> Words | None:
    """OpenStack wraps an error's text in a key that names it: ``{"itemNotFound": {"code": 404, "message": …}}``."""
    if len(document) != 1:
        return None
    (value,) = document.values()
    if not isinstance(value, dict) or not isinstance(value.get("code"), int) or "message" not in value:
        return None
    return Words("", str(value["message"]))


def _tables(answer: Answer, name: str) -> list[dict[str, Any]]:
    found = answer.document.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Trouble("malformed", f"no list of {name}")
    return found


def _has_more(answer: Answer, name: str) -> bool:
    """Whether there is a link to a next page; its address is not followed, the marker is ours to make."""
    links = answer.document.get(name)
    return isinstance(links, list) and any(isinstance(link, dict) and link.get("rel") == "next" for link in links)


def _id(table: Mapping[str, Any], name: str) -> str:
    """An id as it may stand in a path; "" when it is none: what a far end sends is not sent back unseen."""
    value = table.get(name)
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text)[:40])
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
