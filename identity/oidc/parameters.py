"""Parameters of a request: bounded, each at most once, in the characters the protocol allows."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from identity.oidc.messages import OidcError

if TYPE_CHECKING:
    from identity.oidc.messages import HttpRequest

FIELDS_MAX = 40
VALUE_MAX = 8_000
TOTAL_MAX = 32_000
FORM = "application/x-www-form-urlencoded"
_FREE_TEXT = frozenset({"login_hint", "logout_hint"})  # user names are not ASCII only


def query(request: HttpRequest) -> dict[str, str]:
    """Read the parameters of a front-channel request: the query of a GET, the form of a POST.

    Raises:
        OidcError: ``invalid_request``: too large, not decodable, a parameter twice (RFC 6749, 3.1), wrong characters.
    """
    return form(request) if request.method == "POST" else _parse(request.query)


def form(request: HttpRequest) -> dict[str, str]:
    """Read the form of a POST; parameters in its URI do not count (RFC 6749, 3.2).

    Raises:
        OidcError: as ``query``, or the body is not a form.
    """
    if request.content_type.partition(";")[0].strip().lower() != FORM:
        raise _refused("请求体必须是表单", f"the body must be {FORM}")
    try:
        return _parse(request.body.decode("ascii"))
    except UnicodeDecodeError as error:
        raise _refused("请求体必须是 ASCII", "the body must be ASCII") from error


def _parse(text: str) -> dict[str, str]:
    if len(text) > TOTAL_MAX:
        raise _refused("请求过长", "the request is too long")
    try:
        pairs = parse_qsl(text, keep_blank_values=False, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise _refused("请求参数无法解析", "the parameters cannot be decoded") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise _refused("请求参数重复", "a parameter appears more than once")
        if not acceptable(name, value):
            raise _refused(
                "请求参数含有不允许的字符", "a parameter has characters that are not allowed, or is too long"
            )
        found[name] = value
    return found


def acceptable(name: str, value: str) -> bool:
    """Allow printable ASCII (VSCHAR, RFC 6749 appendix A), and printable text where people's names may stand."""
    if len(name) > VALUE_MAX or len(value) > VALUE_MAX or not name.isascii():
        return False
    return value.isprintable() and (value.isascii() or name in _FREE_TEXT)


def _refused(zh: str, en: str) -> OidcError:
    return OidcError("invalid_request", zh, en)
