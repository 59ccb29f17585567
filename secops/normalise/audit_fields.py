from __future__ import annotations

from typing import Final

from secops.normalise.schema import MAX_VALUE

MAX_WORDS: Final = 1000  # words of one record that are looked at; auditd splits longer argument lists itself
_SEPARATORS: Final = ("\\x1d", "#035")  # what escaping leaves of auditd's group separator, here and in rsyslog
_ENCODED: Final = frozenset({"comm", "exe", "name", "cwd", "proctitle", "acct", "cmd", "key", "path", "data", "ocomm"})
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in {9, 10}}
_ARGUMENTS: Final = frozenset("0123456789")


def split_fields(text: str, *, execve: bool = False) -> dict[str, str]:
    """Read ``name=value name="value" msg='name=value …'``; text that nobody gave a name belongs to the value before it.

    Quotes are taken off. What the kernel wrote in hexadecimal because of a space, a quote or a control character in it
    is decoded, of ``execve`` records the arguments too. Names inside ``msg='…'`` join the others.
    """
    text = _one_level(text)
    words = text.split(" ", MAX_WORDS)
    try:
        pairs = [word.split("=", 1) for word in words]
        fields: dict[str, str] = dict(pairs)  # a word without "=" raises ValueError
    except ValueError:
        fields = _with_spaces(words)
    for name, value in fields.items():
        if value[:1] == '"':
            fields[name] = value.strip('"')
        elif name in _ENCODED or (execve and name[:1] == "a" and name[1:2] in _ARGUMENTS and name[-4:] != "_len"):
            fields[name] = unhex(value)
    return fields


def _one_level(text: str) -> str:
    """Put the enriched names after the group separator, and those inside ``msg='…'``, beside the others."""
    for separator in _SEPARATORS:
        if separator in text:
            head, _, enriched = text.rpartition(separator)
            if enriched[:1].isupper() and not head.count('"') % 2:  # outside quotes: not part of somebody's file name
                text = f"{head.rstrip()} {enriched}"
                break
    if "msg='" in text:
        outer, _, inner = text.partition("msg='")
        inner, _, after = inner.rpartition("'")
        text = f"{outer}{inner.strip()} {after.strip()}".rstrip()
    return text


def _with_spaces(words: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    parts: list[str] = []
    name = ""
    for word in words:
        before, equals, value = word.partition("=")
        if equals and before and '"' not in before:
            if name:
                fields[name] = " ".join(parts)
            name, parts = before, [value]
        elif word:
            parts.append(word)
    if name:
        fields[name] = " ".join(parts)
    return fields


def unhex(value: str) -> str:
    """Decode hexadecimal; anything else comes back as it is. NUL between arguments becomes a space, controls visible."""
    if len(value) < 2 or len(value) % 2 or len(value) > 2 * MAX_VALUE or not value.isalnum():  # noqa: PLR2004 - a byte
        return value
    try:
        raw = bytes.fromhex(value)
    except ValueError:
        return value
    decoded = raw.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "backslashreplace")
    return decoded if decoded.isprintable() else decoded.translate(_CONTROLS)


def arguments(fields: dict[str, str], count: int) -> list[str]:
    """Give the arguments ``a0 … aN`` of an EXECVE record; long ones come in parts ``a1[0] a1[1] …``, which are joined.

    Joined arguments are added to ``fields`` under their own name.
    """
    found: list[str] = []
    for position in range(min(count, MAX_WORDS)):
        name = f"a{position}"
        value = fields.get(name)
        if value is None:
            parts: list[str] = []
            while (part := fields.pop(f"{name}[{len(parts)}]", None)) is not None:
                parts.append(part)
            if not parts:
                break
            fields[name] = value = "".join(parts)
        found.append(value)
    return found
