from __future__ import annotations

import hashlib
import hmac
import secrets
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
    "cn-hangzhou cn-shanghai cn-beijing cn-zhangjiakou cn-huhehaote cn-wulanchabu cn-qingdao cn-shenzhen cn-heyuan cn-guangzhou "
    "cn-chengdu cn-nanjing cn-fuzhou cn-wuhan-lr cn-hongkong ap-northeast-1 ap-northeast-2 ap-southeast-1 ap-southeast-3 "
    "ap-southeast-5 ap-southeast-6 ap-southeast-7 eu-central-1 eu-west-1 us-east-1 us-west-1 me-east-1"
)
_MOST: Final = 50  # events in an answer
_CODES: Final = {
    "Throttling": "throttled",
    "ServiceUnavailable": "server",
    "InternalError": "server",
    "IllegalTimestamp": "skew",
    "InvalidTimeStamp": "skew",
    "InvalidSecurityToken": "expired",
    "InvalidAccessKeyId": "refused",
    "IncompleteSignature": "refused",
    "SignatureDoesNotMatch": "refused",
    "SignatureNonceUsed": "server",
    "NoPermission": "refused",
    "Forbidden": "refused",
}


class AlibabaActiontrailSettings(PullSettings):
    """Events of one account in one region; the key file holds ``access_key_id`` and ``access_key_secret``."""

    account: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")  # its number: the place in the trail is kept under it
    region: str = Field(pattern=r"^[a-z0-9-]{3,40}$")
    endpoint: str = ""  # of Apsara Stack; empty: the public cloud's of the region


class AlibabaActiontrailCollector(Collector, kind="alibaba_actiontrail"):
    """Pulls events from Alibaba Cloud's ActionTrail (LookupEvents, 2020-07-06)."""

    Settings = AlibabaActiontrailSettings

    def __init__(self, settings: AlibabaActiontrailSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._pull = Pull(self, settings, Events(settings, surroundings.endpoints, lambda: secrets.token_hex(16)))

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Pull until ``stop``."""
        await self._pull.run(sink, now, stop)


class Events:
    """``LookupEvents``, oldest first, on by ``NextToken`` with the same span; ninety days are kept."""

    needed: tuple[str, ...] = ("access_key_id", "access_key_secret")
    optional: tuple[str, ...] = ("security_token",)
    kept = timedelta(days=90) - timedelta(minutes=10)

    def __init__(self, settings: AlibabaActiontrailSettings, allowed: frozenset[str], nonce: Callable[[], str]) -> None:
        own, region = settings.endpoint, settings.region
        self._host = host_of(own, allowed) if own else f"actiontrail.{known_region(region, REGIONS)}.aliyuncs.com"
        self._nonce = nonce
        self.name = f"{settings.account}/{region}"
        self.reading = Reading(words, _CODES)

    def account(self, key: dict[str, str]) -> str:
        """Requests are counted by access key."""
        return key["access_key_id"]

    async def pages(self, asker: Asker, window: Window, key: dict[str, str]) -> AsyncGenerator[Sequence[Item], None]:
        """See ``Trail.pages``."""
        token = ""
        while True:
            pairs = [
                ("Direction", "FORWARD"),
                ("MaxResults", str(_MOST)),
                ("StartTime", f"{window.start:%Y-%m-%dT%H:%M:%SZ}"),
                ("EndTime", f"{window.end + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"),
            ]
            pairs += [("NextToken", token)] if token else []
            target = f"/?{query(pairs)}"
            answer = await asker.ask(partial(signed, self._host, target, key, self._nonce()))
            events = answer.document.get("Events")
            if not isinstance(events, list):
                raise Trouble("malformed", "no list of Events")
            yield [item(event) for event in events]
            following = answer.document.get("NextToken")
            if not isinstance(following, str) or not following or following == token:
                return
            token = following


def item(event: Any) -> Item:  # noqa: ANN401 - whatever the far end sends
    """One event: its id, and ``eventTime`` in ISO 8601."""
    if not isinstance(event, dict):
        return Item("", None, orjson.dumps(event))
    number, at = event.get("eventId"), event.get("eventTime")
    return Item(number if isinstance(number, str) else "", _moment(at), orjson.dumps(event))


def words(document: dict[str, Any]) -> Words | None:
    """The code and text of an error."""
    code = document.get("Code")
    return (
        Words(code, str(document.get("Message") or "")) if isinstance(code, str) and "Events" not in document else None
    )


def signed(host: str, target: str, key: Mapping[str, str], nonce: str, at: datetime) -> Request:
    """A POST signed by ACS3-HMAC-SHA256 (Alibaba Cloud, "Request syntax and signature method V3")."""
    headers = {
        "host": host,
        "x-acs-action": "LookupEvents",
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": "2020-07-06",
    }
    if token := key.get("security_token"):
        headers["x-acs-security-token"] = token
    headers["authorization"] = authorization("POST", target, headers, key)
    return Request("POST", host, target, headers)


def authorization(method: str, target: str, headers: Mapping[str, str], key: Mapping[str, str]) -> str:
    """The header's value; ``headers`` are all signed, ``target`` is encoded and its query in order."""
    path, _, asked = target.partition("?")
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    canonical = "\n".join((method, path, asked, lines, names, headers["x-acs-content-sha256"]))
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key["access_key_secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"ACS3-HMAC-SHA256 Credential={key['access_key_id']},SignedHeaders={names},Signature={signature}"


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text)[:40])
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
