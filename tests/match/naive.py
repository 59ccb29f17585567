"""The oracle: Sigma rules evaluated straight from their YAML, one by one, in the most obvious way.

It shares nothing with ``secops.match``: its own reading of values, modifiers and conditions, Python's ``re`` instead of
RE2, Python's own precedence of ``not``, ``and``, ``or``. Slow, and meant to be.
"""

from __future__ import annotations

import base64
import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

Event = Mapping[str, Any]
Check = Callable[[Event], bool]


def text_of(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (str, int, float)) else None


def texts(event: Event, field: str) -> list[str]:
    value = event.get(field)
    values = value if isinstance(value, list) else [value]
    return [text for each in values if (text := text_of(each)) is not None]


def lower(text: str) -> str:
    return text.lower().replace("ς", "σ")


Token = tuple[str, str]  # ("lit", character) or ("wild", "*" or "?")


def tokens_of(text: str) -> list[Token]:
    found: list[Token] = []
    for part in re.findall(r"\\[\\*?]|.", text, re.DOTALL):
        if len(part) == 2:
            found.append(("lit", part[1]))
        else:
            found.append(("wild" if part in "*?" else "lit", part))
    return found


def pattern(tokens: list[Token], *, cased: bool) -> Callable[[str], bool]:
    if ("wild", "?") in tokens:
        wild = {"*": "(?:.*)", "?": "."}
        source = "".join(
            wild[char] if kind == "wild" else re.escape(char if cased else lower(char)) for kind, char in tokens
        )
        found = re.compile(source, re.DOTALL)
        return lambda text: found.fullmatch(text if cased else lower(text)) is not None
    pieces = [""]
    for kind, char in tokens:
        if kind == "wild":
            pieces.append("")
        else:
            pieces[-1] += char
    if not cased:
        pieces = [lower(piece) for piece in pieces]
    return lambda text: _pieces(pieces, text if cased else lower(text))


def _pieces(pieces: list[str], text: str) -> bool:
    if len(pieces) == 1:
        return text == pieces[0]
    if not text.startswith(pieces[0]):
        return False
    position = len(pieces[0])
    for piece in pieces[1:-1]:
        position = text.find(piece, position)
        if position < 0:
            return False
        position += len(piece)
    return len(text) - len(pieces[-1]) >= position and text.endswith(pieces[-1])


def windash(tokens: list[Token]) -> Iterator[list[Token]]:
    literal = [char if kind == "lit" else "\0" for kind, char in tokens]
    plain = "".join(literal)
    places = [found.start() for found in re.finditer(r"\B[-/–—―]\b", plain)]
    for chosen in itertools.product("-/–—―", repeat=len(places)):
        changed = list(tokens)
        for place, dash in zip(places, chosen, strict=True):
            changed[place] = ("lit", dash)
        yield changed


def offsets(data: bytes) -> Iterator[str]:
    """The Base64 characters that data decides alone, found by looking what its surroundings can change."""
    for lead in range(3):
        fill = -(lead + len(data)) % 3
        low, high = (base64.b64encode(byte * lead + data + byte * fill).decode() for byte in (b"\0", b"\xff"))
        same = [a if a == b else " " for a, b in zip(low, high, strict=True)]
        yield "".join(same).strip()


def _literal(tokens: list[Token]) -> str:
    return "".join(char for _, char in tokens)


def value_check(field: str | None, names: list[str], value: Any, placeholders: Mapping[str, list[str]]) -> Check:
    """The check of one value of one item, all modifiers applied."""
    if value is None or "exists" in names:
        return lambda event: event.get(field) is None if value is None else (field in event) == value
    if "expand" in names:
        return _any_of(field, [name for name in names if name != "expand"], value, placeholders)
    if "re" in names:
        return _regex_check(field, names, str(value))
    if "cidr" in names:
        return _over(field, lambda text: _inside(text, ipaddress.ip_network(value, strict=False)))
    return _number_check(field, names, value) or _text_check(field, names, value)


def _number_check(field: str | None, names: list[str], value: Any) -> Check | None:
    compared = [name for name in names if name in _RELATIONS]
    if parts := {"minute", "hour", "day", "week", "month", "year"}.intersection(names):
        return _over(field, lambda text: _related(*compared or ["eq"], _part(text, *parts), int(value)))
    if compared or (isinstance(value, float) and not set(names) - {"all", "neq"}):
        return _over(field, lambda text: _related(*compared or ["eq"], _number(text), _number(str(value))))
    return None


def _any_of(field: str | None, names: list[str], value: Any, placeholders: Mapping[str, list[str]]) -> Check:
    each = [value_check(field, names, text, {}) for text in _expand(value, placeholders, literal="re" in names)]
    return lambda event: any(check(event) for check in each)


def _regex_check(field: str | None, names: list[str], source: str) -> Check:
    if "startswith" in names:
        source = rf"\A(?:{source})"
    if "endswith" in names:
        source = rf"(?:{source})\Z"
    letters = {"i": re.IGNORECASE, "ignorecase": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
    flags = sum(letters.get(name, re.NOFLAG) for name in names)
    search = re.compile(source, flags | re.ASCII if source.isascii() else flags).search
    return _over(field, lambda text: search(text) is not None)


def _text_check(field: str | None, names: list[str], value: Any) -> Check:
    variants = [tokens_of(value) if isinstance(value, str) else [("lit", char) for char in str(text_of(value))]]
    cased = "cased" in names
    if "fieldref" in names:
        return _reference(field, names, _literal(variants[0]), cased=cased)
    encoded: list[bytes] = []
    codec = {"wide": "utf-16-le", "utf16le": "utf-16-le", "utf16be": "utf-16-be", "utf16": "utf-16"}
    for name in names:
        if name == "windash":
            variants = [each for tokens in variants for each in windash(tokens)]
        elif name in ("wide", "utf16le", "utf16be", "utf16"):
            encoded = [_literal(tokens).encode(codec[name]) for tokens in variants]
            variants = [_wide(tokens, codec[name]) for tokens in variants]
        elif name in ("base64", "base64offset"):
            data = encoded or [_literal(tokens).encode() for tokens in variants]
            made = (
                [base64.b64encode(each).decode() for each in data]
                if name == "base64"
                else [t for d in data for t in offsets(d)]
            )
            variants = [[("lit", char) for char in text] for text in made]
        elif name in ("contains", "startswith", "endswith"):
            before = [("wild", "*")] if name != "startswith" else []
            after = [("wild", "*")] if name != "endswith" else []
            variants = [[*before, *tokens, *after] for tokens in variants]
    if field is None and not {"contains", "startswith", "endswith"}.intersection(names):
        variants = [[("wild", "*"), *tokens, ("wild", "*")] for tokens in variants]
    checks = [pattern(tokens, cased=cased) for tokens in variants]
    return _over(field, lambda text: any(check(text) for check in checks))


def _wide(tokens: list[Token], codec: str) -> list[Token]:
    found: list[Token] = []
    for kind, char in tokens:
        found += [("lit", chr(byte)) for byte in char.encode(codec)] if kind == "lit" else [(kind, char)]
    return found


def _over(field: str | None, check: Callable[[str], bool]) -> Check:
    if field is None:
        return lambda event: any(check(text) for name in _worded(event) for text in texts(event, name))
    return lambda event: any(check(text) for text in texts(event, field))


def _worded(event: Event) -> list[str]:
    fields_there = bool(event.get("original")) and str(event.get("event.original")).startswith("{")
    return [name for name in event if not (fields_there and name == "event.original")]


def _expand(value: str, placeholders: Mapping[str, list[str]], *, literal: bool) -> Iterator[str]:
    found = re.match(r"((?:[^%\\]|\\.|%(?![^%\s\\]+%))*)%([^%\s\\]+)%(.*)", value, re.DOTALL)
    if found is None:
        yield value if literal else value.replace("\\\\", "\0").replace("\\%", "%").replace("\0", "\\\\")
        return
    before, name, after = found.groups()
    if not literal:
        before = before.replace("\\\\", "\0").replace("\\%", "%").replace("\0", "\\\\")
    for given in placeholders[name]:
        for rest in _expand(after, placeholders, literal=literal):
            yield before + (re.escape(given) if literal else given) + rest


def _reference(field: str | None, names: list[str], other: str, *, cased: bool) -> Check:
    def related(ours: str, theirs: str) -> bool:
        if not cased:
            ours, theirs = lower(ours), lower(theirs)
        if "contains" in names:
            return theirs in ours
        if "startswith" in names:
            return ours.startswith(theirs)
        return ours.endswith(theirs) if "endswith" in names else ours == theirs

    return lambda event: any(related(a, b) for a in texts(event, field or "") for b in texts(event, other))


def _inside(text: str, network: Any) -> bool:
    text = text.partition("%")[0]
    if text.lower().startswith("::ffff:") and "." in text and network.version == 4:
        text = text[7:]
    try:
        other = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    if other.version != network.version:
        return False
    return bool(
        network.network_address <= other.network_address and other.broadcast_address <= network.broadcast_address
    )


_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
}


def _related(name: str, ours: Any, theirs: Any) -> bool:
    return ours is not None and _RELATIONS[name](ours, theirs)


def _number(text: str) -> Fraction | None:
    decimal = re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]{1,2})?", text.strip(), re.IGNORECASE)
    return Fraction(decimal[0]) if decimal else None


def _part(text: str, part: str) -> int | None:
    try:
        if re.fullmatch(r"[0-9]{10}|[0-9]{13}", text):
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(text[:10]))
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return moment.isocalendar()[1] if part == "week" else getattr(moment, part)


def item_check(key: str, value: Any, placeholders: Mapping[str, list[str]]) -> Check:
    field, *names = key.split("|")
    checks = [
        value_check(field or None, names, each, placeholders)
        for each in (value if isinstance(value, list) else [value])
    ]
    combine = all if "all" in names else any
    if "neq" in names:
        return lambda event: not combine(check(event) for check in checks)
    return lambda event: combine(check(event) for check in checks)


def selection_check(body: Any, placeholders: Mapping[str, list[str]]) -> Check:
    if isinstance(body, dict):
        checks = [item_check(key, value, placeholders) for key, value in body.items()]
        return lambda event: all(check(event) for check in checks)
    if isinstance(body, list):
        checks = [selection_check(each, placeholders) for each in body]
        return lambda event: any(check(event) for check in checks)
    return value_check(None, [], body, placeholders)


def rule_check(detection: dict[str, Any], placeholders: Mapping[str, list[str]] | None = None) -> Check:
    """Whether an event satisfies a ``detection`` section."""
    selections = {
        name: selection_check(body, placeholders or {}) for name, body in detection.items() if name != "condition"
    }
    conditions = detection["condition"]
    sources = [_python(each, selections) for each in (conditions if isinstance(conditions, list) else [conditions])]
    codes = [compile(source, "<condition>", "eval") for source in sources]

    def check(event: Event) -> bool:
        known: dict[str, bool] = {}

        def holds(name: str) -> bool:
            if name not in known:
                known[name] = selections[name](event)
            return known[name]

        return any(eval(code, {"holds": holds}) for code in codes)  # a condition made of known words only

    return check


def _python(condition: str, selections: Mapping[str, Check]) -> str:
    """The condition as a Python expression over ``holds(name)``."""
    words = re.findall(r"[()]|[^\s()]+", condition)
    out: list[str] = []
    while words:
        word = words.pop(0)
        if len(words) > 1 and words[0].lower() == "of":
            target = words[1]
            del words[:2]
            names = [name for name in selections if _named(name, target)]
            joined = {"all": " and "}.get(word.lower(), " or ").join(f"holds({name!r})" for name in names)
            out.append(f"({joined})")
        elif word.lower() in {"and", "or", "not"}:
            out.append(word.lower())
        else:
            out.append(word if word in "()" else f"holds({word!r})")
    return " ".join(out)


def _named(name: str, target: str) -> bool:
    if target.lower() == "them":
        return not name.startswith("_")
    return re.fullmatch(re.escape(target).replace(r"\*", ".*").replace(r"\?", "."), name) is not None
