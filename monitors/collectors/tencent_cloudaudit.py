from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import Field

from monitors.collector import Collector
from monitors.pull import Pull, PullSettings, host_of, known_region
from monitors.pull_cursor import Item, Window
from monitors.pull_http import Asker, Reading, Request
from monitors.pull_trouble import Trouble, Words

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from monitors.collector import Surroundings
    from monitors.record import Sink

REGIONS: Final = (
    "ap-guangzhou ap-shanghai ap-nanjing ap-beijing ap-chengdu ap-chongqing ap-hongkong ap-taipei ap-singapore ap-jakarta ap-seoul "
    "ap-tokyo ap-bangkok ap-shenzhen-fsi ap-shanghai-fsi ap-beijing-fsi eu-frankfurt na-siliconvalley na-ashburn sa-saopaulo"
)
HOST: Final = "cloudaudit.tencentcloudapi.com"
CHINA: Final = timezone(timedelta(hours=8))  # EventTime names no zone
_MOST: Final = 50  # events in an answer
_ACTION: Final = "DescribeEvents"
_CODES: Final = {
    "RequestLimitExceeded": "throttled",
    "LimitExceeded": "throttled",
    "InternalError": "server",
    "ResourceUnavailable": "server",
    "FailedOperation": "server",
    "AuthFailure": "refused",
    "AuthFailure.SignatureExpire": "skew",
    "AuthFailure.TokenFailure": "expired",
    "UnauthorizedOperation": "refused",
}


class TencentCloudauditSettings(PullSettings):
    """Events of one account; the key file holds ``secret_id`` and ``secret_key``."""

    account: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")  # its number: the place in the trail is kept under it
    region: str = Field(default="ap-guangzhou", pattern=r"^[a-z0-9-]{3,40}$")
    endpoint: str = ""  # of Tencent Cloud Enterprise; empty: the public cloud's


class TencentCloudauditCollector(Collector, kind="tencent_cloudaudit"):
    """Pulls events from Tencent Cloud's CloudAudit (DescribeEvents, 2019-03-19)."""

    Settings = TencentCloudauditSettings

    def __init__(self, settings: TencentCloudauditSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._pull = Pull(self, settings, Events(settings, surroundings.endpoints))

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Pull until ``stop``."""
        await self._pull.run(sink, now, stop)


class Events:
    """``DescribeEvents``, on by ``NextToken`` until ``ListOver``; ninety days are kept."""

    needed: tuple[str, ...] = ("secret_id", "secret_key")
    optional: tuple[str, ...] = ("token",)
    kept = timedelta(days=90) - timedelta(minutes=10)

    def __init__(self, settings: TencentCloudauditSettings, allowed: frozenset[str]) -> None:
        own, region = settings.endpoint, settings.region
        self._host = host_of(own, allowed) if own else HOST
        self._region = region if own else known_region(region, REGIONS)
        self.name = f"{settings.account}/{region}"
        self.reading = Reading(words, _CODES)

    def account(self, key: dict[str, str]) -> str:
        """Requests are counted by secret id."""
        return key["secret_id"]

    async def pages(self, asker: Asker, window: Window, key: dict[str, str]) -> AsyncGenerator[Sequence[Item], None]:
        """See ``Trail.pages``."""
        span = {"StartTime": int(window.start.timestamp()), "EndTime": int(window.end.timestamp()) + 1}
        token: object = None
        while True:
            body = orjson.dumps({**span, "MaxResults": _MOST, **({} if token is None else {"NextToken": token})})
            answer = await asker.ask(partial(signed, self._host, self._region, body, key))
            found = answer.document.get("Response")
            events = found.get("Events") if isinstance(found, dict) else None
            if not isinstance(found, dict) or not isinstance(events, list | None):
                raise Trouble("malformed", "no list of Events")
            yield [item(event) for event in events or ()]
            following = found.get("NextToken")
            over = found.get("ListOver") is True or (not events and found.get("ListOver") is not False)
            if over or not isinstance(following, int | str) or following in ("", token):
                return
            token = following


def item(event: Any) -> Item:  # noqa: ANN401 - whatever the far end sends
    """One event: its id, and ``EventTime`` in seconds or in China's time."""
    if not isinstance(event, dict):
        return Item("", None, orjson.dumps(event))
    number, at = event.get("EventId"), event.get("EventTime")
    return Item(number if isinstance(number, str) else "", _moment(at), orjson.dumps(event))


def words(document: dict[str, Any]) -> Words | None:
    """The code and text of an error, which comes with HTTP 200."""
    found = document.get("Response")
    error = found.get("Error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return None
    return Words(str(error.get("Code") or ""), str(error.get("Message") or ""))


def signed(host: str, region: str, body: bytes, key: Mapping[str, str], at: datetime) -> Request:
    """A POST signed by TC3-HMAC-SHA256 (Tencent Cloud, "Signature v3")."""
    headers = {"content-type": "application/json; charset=utf-8", "host": host, "x-tc-action": _ACTION.lower()}
    proof = authorization(headers, body, key, "cloudaudit", int(at.timestamp()))
    headers |= {
        "x-tc-action": _ACTION,
        "x-tc-version": "2019-03-19",
        "x-tc-region": region,
        "x-tc-timestamp": str(int(at.timestamp())),
        "authorization": proof,
    }
    if token := key.get("token"):
        headers["x-tc-token"] = token
    return Request("POST", host, "/", headers, body)


def authorization(headers: Mapping[str, str], body: bytes, key: Mapping[str, str], service: str, second: int) -> str:
    """The header's value for a POST to ``/`` at a Unix ``second``; ``headers`` (values in lower case) are all signed."""
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name].strip().lower()}\n" for name in sorted(headers))
    canonical = "\n".join(("POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()))
    day = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{service}/tc3_request"
    text = f"TC3-HMAC-SHA256\n{second}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = f"TC3{key['secret_key']}".encode()
    for part in (day, service, "tc3_request"):
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    return f"TC3-HMAC-SHA256 Credential={key['secret_id']}/{scope}, SignedHeaders={names}, Signature={signature}"


def _moment(value: object) -> datetime | None:
    text = str(value)[:40]
    try:
        if text.isascii() and text.isdigit():
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=CHINA)
