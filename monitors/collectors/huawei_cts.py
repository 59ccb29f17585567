from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import Field

from monitors.collector import Collector
from monitors.pull import Pull, PullSettings, host_of, known_region
from monitors.pull_cursor import Item, Window
from monitors.pull_http import Asker, Reading, Request, query
from monitors.pull_trouble import Trouble, Words

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from monitors.collector import Surroundings
    from monitors.record import Sink

REGIONS: Final = (
    "cn-north-1 cn-north-2 cn-north-4 cn-north-9 cn-north-11 cn-north-12 cn-east-2 cn-east-3 cn-east-4 cn-east-5 cn-south-1 "
    "cn-south-2 cn-south-4 cn-southwest-2 cn-west-3 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 af-south-1 "
    "la-north-2 la-south-2 na-mexico-1 sa-brazil-1 tr-west-1 me-east-1 ae-ad-1 eu-west-101"
)
_MOST: Final = 200  # traces in an answer
_CODES: Final = {
    "APIGW.0308": "throttled",
    "APIGW.0301": "refused",
    "APIGW.0302": "refused",
    "APIGW.0303": "refused",
    "APIGW.0305": "refused",
    "APIGW.0307": "expired",
    "APIGW.06": "server",
    "CTS.0001": "refused",
}


class HuaweiCtsSettings(PullSettings):
    """Traces of one project in one region; the key file holds ``access_key`` and ``secret_key``."""

    region: str = Field(pattern=r"^[a-z0-9-]{3,40}$")
    project_id: str = Field(pattern=r"^[A-Za-z0-9]{1,64}$")
    endpoint: str = ""  # of Huawei Cloud Stack; empty: the public cloud's of the region
    trace_type: str = Field(default="system", pattern=r"^(system|data)$")


class HuaweiCtsCollector(Collector, kind="huawei_cts"):
    """Pulls traces from Huawei Cloud's Cloud Trace Service (ListTraces, v3)."""

    Settings = HuaweiCtsSettings

    def __init__(self, settings: HuaweiCtsSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._pull = Pull(self, settings, Traces(settings, surroundings.endpoints))

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Pull until ``stop``."""
        await self._pull.run(sink, now, stop)


class Traces:
    """``GET /v3/{project_id}/traces``, newest first, on by the marker of the page before; seven days are kept."""

    needed: tuple[str, ...] = ("access_key", "secret_key")
    optional: tuple[str, ...] = ("security_token",)
    kept = timedelta(days=7) - timedelta(minutes=10)

    def __init__(self, settings: HuaweiCtsSettings, allowed: frozenset[str]) -> None:
        own, region = settings.endpoint, settings.region
        self._host = host_of(own, allowed) if own else f"cts.{known_region(region, REGIONS)}.myhuaweicloud.com"
        self._settings = settings
        self.name = f"{settings.region}/{settings.project_id}/{settings.trace_type}"
        self.reading = Reading(words, _CODES)

    def account(self, key: dict[str, str]) -> str:
        """Requests are counted by access key."""
        return key["access_key"]

    async def pages(self, asker: Asker, window: Window, key: dict[str, str]) -> AsyncGenerator[Sequence[Item], None]:
        """See ``Trail.pages``."""
        marker = ""
        while True:
            target = self._target(window, marker)
            answer = await asker.ask(partial(signed, self._host, target, key))
            traces = answer.document.get("traces")
            if not isinstance(traces, list):
                raise Trouble("malformed", "no list of traces")
            yield [item(trace) for trace in traces]
            about = answer.document.get("meta_data")
            following = about.get("marker") if isinstance(about, dict) else None
            if not traces or not isinstance(following, str) or not following or following == marker:
                return
            marker = following

    def _target(self, window: Window, marker: str) -> str:
        pairs = [
            ("trace_type", self._settings.trace_type),
            ("limit", str(_MOST)),
            ("from", str(int(window.start.timestamp() * 1000))),
            ("to", str(int(window.end.timestamp() * 1000) + 1)),
        ]
        pairs += [("next", marker)] if marker else []
        return f"/v3/{self._settings.project_id}/traces?{query(pairs)}"


def item(trace: Any) -> Item:  # noqa: ANN401 - whatever the far end sends
    """One trace: its id, and ``time`` in milliseconds."""
    if not isinstance(trace, dict):
        return Item("", None, orjson.dumps(trace))
    number, at = trace.get("trace_id"), trace.get("time")
    return Item(number if isinstance(number, str) else "", _moment(at), orjson.dumps(trace))


def words(document: dict[str, Any]) -> Words | None:
    """The code and text of an error, of the service or of the gateway before it."""
    code = document.get("error_code") or document.get("code")
    if not isinstance(code, str) or "traces" in document:
        return None
    return Words(code, str(document.get("error_msg") or document.get("message") or ""))


def signed(host: str, target: str, key: Mapping[str, str], at: datetime) -> Request:
    """A GET signed by SDK-HMAC-SHA256 (Huawei Cloud, "API Request Signing Guide")."""
    headers = {
        "content-type": "application/json",
        "host": host,
        "x-sdk-date": at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ"),
    }
    if token := key.get("security_token"):
        headers["x-security-token"] = token
    headers["authorization"] = authorization("GET", target, headers, b"", key)
    return Request("GET", host, target, headers)


def authorization(method: str, target: str, headers: Mapping[str, str], body: bytes, key: Mapping[str, str]) -> str:
    """The header's value; ``headers`` are all signed, ``target`` is encoded and its query in order."""
    path, _, asked = target.partition("?")
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    slash = "" if path.endswith("/") else "/"
    canonical = "\n".join((method, path + slash, asked, lines, names, hashlib.sha256(body).hexdigest()))
    text = f"SDK-HMAC-SHA256\n{headers['x-sdk-date']}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key["secret_key"].encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"SDK-HMAC-SHA256 Access={key['access_key']}, SignedHeaders={names}, Signature={signature}"


def _moment(milliseconds: object) -> datetime | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int):
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
