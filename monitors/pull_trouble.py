"""What can go wrong between us and an interface that is asked for its trail: told apart, so that people know what to do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SKEW_SECONDS: Final = 240  # far ends refuse requests dated five to fifteen minutes off
LONGEST_WAIT: Final = 900.0
_FIRST_WAIT: Final = 2.0
_PATIENT: Final = 300.0  # between tries with a key that was refused: more would lock the account
_DETAIL: Final = 200  # characters of the far end's own words

TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "key": ("密钥文件不可用：{}", "the key file cannot be used: {}"),
    "refused": ("密钥被拒绝或权限不足：{}", "the key was refused or lacks the permission: {}"),
    "expired": ("临时密钥已过期，请更新密钥文件：{}", "the temporary key has expired, renew the key file: {}"),
    "skew": (
        "本机时钟与对方相差太大，请检查 NTP：{}",
        "this machine's clock and theirs differ too much, check NTP: {}",
    ),
    "throttled": ("请求过快，对方要求稍候：{}", "too many requests, they ask us to wait: {}"),
    "server": ("对方服务出错：{}", "their service failed: {}"),
    "network": ("无法连接：{}", "cannot be reached: {}"),
    "rejected": ("请求被对方拒绝：{}", "they rejected the request: {}"),
    "malformed": ("对方的回答无法理解：{}", "their answer cannot be understood: {}"),
    "oversized": ("对方的回答过大：{}", "their answer is too large: {}"),
}
_SLOW: Final = frozenset({"key", "refused", "expired", "rejected"})


class Trouble(Exception):  # noqa: N818 - a state that people are told of, not only a fault
    """Nothing could be gathered; ``kind`` is a key of ``TEXTS``, ``wait`` the seconds that the far end asked for."""

    def __init__(self, kind: str, detail: str, *, wait: float = 0.0, status: int = 0) -> None:
        self.kind, self.wait, self.status = kind, wait, status
        self.detail = detail.encode("utf-8", "replace").decode()[:_DETAIL]
        zh, en = TEXTS[kind]
        self.zh, self.en = zh.format(self.detail), en.format(self.detail)
        super().__init__(self.en)


@dataclass(frozen=True, slots=True)
class Words:
    """An answer's own words about an error: its code and its message."""

    code: str
    message: str


def judge(
    status: int, headers: Mapping[str, str], words: Words | None, codes: Mapping[str, str], now: datetime
) -> Trouble | None:
    """Say what is wrong with an answer, or nothing.

    ``codes`` maps beginnings of the far end's error codes to kinds of trouble; a code that is in none of them is judged
    by the HTTP status. A refusal by somebody whose clock differs much from ours is about the clock.
    """
    if words is None and 200 <= status < 300:  # noqa: PLR2004 - HTTP
        return None
    kind = _kind(status, "" if words is None else words.code, codes)
    detail = f"HTTP {status}" if words is None else f"{words.code} {words.message}".strip()
    apart = _apart(headers.get("date", ""), now)
    if kind in {"refused", "rejected"} and abs(apart) > SKEW_SECONDS:
        return Trouble("skew", f"{apart:+.0f} s; {detail}", status=status)
    return Trouble(kind, detail, wait=_asked(headers.get("retry-after", ""), now), status=status)


def delay(trouble: Trouble, attempt: int, name: str) -> float:
    """Seconds until the next try: growing, a little different for every ``name`` and attempt, never less than was asked."""
    first = _PATIENT if trouble.kind in _SLOW else _FIRST_WAIT
    grown = min(LONGEST_WAIT, first * 2.0 ** min(attempt - 1, 16))
    shift = int.from_bytes(hashlib.sha256(f"{name} {attempt}".encode()).digest()[:4], "big") / 2**32
    return max(grown * (0.75 + shift / 4), trouble.wait)


def _kind(status: int, code: str, codes: Mapping[str, str]) -> str:
    known = [begins for begins in codes if code.startswith(begins)]
    if code and known:
        return codes[max(known, key=len)]
    if status == 429:  # noqa: PLR2004 - HTTP
        return "throttled"
    if status in (401, 403):
        return "refused"
    return "server" if status >= 500 or 300 <= status < 400 else "rejected"  # noqa: PLR2004 - HTTP; redirects are not followed


def _apart(date: str, now: datetime) -> float:
    """Seconds by which the far end's clock is ahead of ours; 0 when it does not say."""
    theirs = _date(date)
    return 0.0 if theirs is None else (theirs - now).total_seconds()


def _asked(value: str, now: datetime) -> float:
    """``Retry-After``: seconds, or a date (RFC 9110, section 10.2.3)."""
    if value.isascii() and value.isdigit() and len(value) < 10:  # noqa: PLR2004 - 30 years
        return min(float(value), LONGEST_WAIT)
    until = _date(value)
    return 0.0 if until is None else min(max(0.0, (until - now).total_seconds()), LONGEST_WAIT)


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value[:64])
    except (ValueError, TypeError, IndexError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
