"""Errors at the edge: one way from any exception to an answer a person, or a program, can act on (RFC 9457)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

LOG = logging.getLogger(__name__)
MACHINE_PATHS = ("/api/", "/pki/", "/oidc/", "/.well-known/", "/healthz")


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """A request that is answered with ``status`` and a reason in both languages."""

    def __init__(self, status: int, code: str, zh: str, en: str, *, retry_after: int = 0) -> None:
        super().__init__(en)
        self.status = status
        self.code = code
        self.zh = zh
        self.en = en
        self.retry_after = retry_after


class LoginNeeded(Refusal):
    """Nobody is logged in; pages lead to the login, programs get 401."""

    def __init__(self) -> None:
        super().__init__(401, "login.needed", "请先登录。", "Log in first.")


class Forbidden(Refusal):
    """Somebody is logged in but may not do this."""

    def __init__(self, reason: str = "") -> None:
        detail = f" ({reason})" if reason else ""
        super().__init__(
            403,
            "access.denied",
            "您的角色没有这项权限；如工作需要，请联系安全管理员。",
            f"Your role does not allow this{detail}; ask the security administrator if your work needs it.",
        )


class NotFound(Refusal):
    """There is no such thing, or it is not this visitor's to see; the two must look alike."""

    def __init__(self) -> None:
        super().__init__(
            404,
            "page.missing",
            "没有这个页面或对象，或者您无权查看。",
            "There is no such page or object, or it is not yours to see.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is told about an error: HTTP status, stable code, a sentence in both languages."""

    status: int
    code: str
    zh: str
    en: str
    retry_after: int = 0
    reference: str = ""  # finds the stack trace in the log; only for unknown errors

    def as_json(self) -> dict[str, Any]:
        """The members of an RFC 9457 problem document; ``detail_zh`` and ``reference`` are extensions."""
        document: dict[str, Any] = {
            "type": f"urn:secops:error:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.en,
            "detail_zh": self.zh,
        }
        if self.reference:
            document["reference"] = self.reference
        return document


def problem_of(error: BaseException, reference: str) -> Problem:
    """Say what ``error`` means for the visitor; what we do not know is a 500 without details."""
    match error:
        case Refusal():
            return Problem(
                status=error.status, code=error.code, zh=error.zh, en=error.en, retry_after=error.retry_after
            )
        case HTTPException(status_code=404):
            return problem_of(NotFound(), reference)
        case HTTPException():
            phrase = HTTPStatus(error.status_code).phrase
            return Problem(
                status=error.status_code, code=f"http.{error.status_code}", zh=f"请求无法处理：{phrase}", en=phrase
            )
        case RequestValidationError():
            return _invalid(error)
        case _ if _for_people(error):
            code, zh, en = str(error.code), str(error.zh), str(error.en)  # type: ignore[attr-defined]
            return Problem(status=_status(code), code=code, zh=zh, en=en)
    return Problem(
        status=500,
        code="internal",
        zh=f"系统内部错误，已记录（编号 {reference}）。请稍后重试，或将编号告知系统管理员。",
        en=f"Something went wrong on our side and was recorded ({reference}). Try again, or tell the system administrator the reference.",
        reference=reference,
    )


def wants_json(request: Request) -> bool:
    """Whether the visitor is a program: an address for programs, or an Accept header without HTML."""
    accept = request.headers.get("accept", "")
    return request.url.path.startswith(MACHINE_PATHS) or ("text/html" not in accept and "json" in accept)


def json_response(problem: Problem) -> Response:
    """The problem document as ``application/problem+json``."""
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after else {}
    body = orjson.dumps(problem.as_json())
    return Response(body, problem.status, headers, media_type="application/problem+json")


def _for_people(error: BaseException) -> bool:
    """Errors of every package that carry a code and a sentence in both languages."""
    return all(isinstance(getattr(error, name, None), str) for name in ("code", "zh", "en"))


def _status(code: str) -> int:
    """The HTTP status that the last word of an error code means."""
    words = {
        "missing": 404, "not_found": 404, "unknown": 404,
        "forbidden": 403, "denied": 403, "not_allowed": 403,
        "conflict": 409, "taken": 409, "exists": 409, "state": 409, "status": 409,
        "throttled": 429, "busy": 503, "full": 507,
    }  # fmt: skip
    return words.get(code.rsplit(".", 1)[-1], 400)


def _invalid(error: RequestValidationError) -> Problem:
    places = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
    return Problem(
        status=400, code="request.invalid", zh=f"请求参数有误：{places}", en=f"The request is wrong: {places}"
    )
