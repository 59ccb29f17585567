"""What names may look like; everything else of a name typed by a stranger is kept out of logs and keys."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from identity.provider import IdentityError

_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,39}")
_ORGANIZATION_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_RAW_MAXIMUM: Final = 200
_DISPLAY_MAXIMUM: Final = 100


def login_name(typed: str) -> str:
    """Give the username that was meant by what was typed; "" when it cannot be one (it may be a password)."""
    text = unicodedata.normalize("NFKC", typed[:_RAW_MAXIMUM]).strip().casefold()
    return text if _USERNAME.fullmatch(text) else ""


def check_username(username: str) -> str:
    """Give a new username in its stored form (lower case).

    Raises:
        IdentityError: username.invalid
    """
    text = login_name(username)
    if not text:
        raise IdentityError(
            "username.invalid",
            "用户名须为 2 至 40 个字符，只能使用字母、数字、点、下划线和连字符，并以字母或数字开头",
            "A username has 2 to 40 letters, digits, dots, underscores or hyphens and begins with a letter or digit",
        )
    return text


def check_display_name(name: str) -> str:
    """Give a name for people in its stored form (NFKC, trimmed).

    Raises:
        IdentityError: name.invalid - empty, over 100 characters, or with control or direction characters.
    """
    text = unicodedata.normalize("NFKC", name[:_RAW_MAXIMUM]).strip()
    odd = any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for character in text)
    if not text or odd or len(name) > _RAW_MAXIMUM or len(text) > _DISPLAY_MAXIMUM:
        raise IdentityError(
            "name.invalid",
            "名称须为 1 至 100 个字符，不能包含控制字符",
            "A name has 1 to 100 characters and no control characters",
        )
    return text


def check_organization_id(text: str) -> str:
    """Give a new organisation's id; it is also a tenant id and part of paths.

    Raises:
        IdentityError: organization.invalid
    """
    if not _ORGANIZATION_ID.fullmatch(text):
        raise IdentityError(
            "organization.invalid",
            "单位标识须为 1 至 40 个小写字母、数字或连字符，并以字母或数字开头",
            "An organisation's id has 1 to 40 lower-case letters, digits or hyphens and begins with a letter or digit",
        )
    return text
