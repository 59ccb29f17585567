"""A look at an event's stored JSON that spares parsing it: bytes that must occur wherever a query matches.

Only ever says "no" when the event cannot match; of many lines in one text, when none of them can. Letters and digits
stand unescaped in JSON; case is folded here; lines with other characters that may fold to ASCII letters or digits (full
width, Kelvin) pass. Digits that a number could be written with differently (1e-05, 0.00001) are not relied on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from secops.records import EVENT_ID
from secops.store import query, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Look: TypeAlias = Callable[[bytes], bool]

# In UTF-8, all but: Latin-1 without ß and the like, Cyrillic, U+2000 to 203F (dashes, quotes), U+3000 to 30FF (kana), U+4000 to 9FFF, full-width punctuation.
MAY_FOLD: Final = re.compile(
    rb"\xc2[\xaa\xb2\xb3\xb9\xba\xbc-\xbe]|\xc3\x9f|[\xc4-\xcf\xd4-\xe1\xea-\xee\xf0-\xf4]|\xe2[^\x80]|\xe3[\x84-\xbf]"
    rb"|\xef[^\xbc]|\xef\xbc[\x90-\x99\xa1-\xbf]"
)
# Likewise of characters that may fold to any ASCII character, signs and spaces included.
MAY_SIGN: Final = re.compile(
    rb"\xc2[\xa0\xa8\xaa\xaf\xb2-\xb4\xb8-\xba\xbc-\xbe]|\xc3\x9f|[\xc4-\xcf\xd4-\xe2\xea-\xf4]|\xe3[^\x83]|\xe3\x83\xbf"
)
ASCII: Final = bytes(range(128))
PLAIN: Final = re.compile(r"[ !#-\[\]-~]{4,}")  # stands in JSON as it is
NUMERIC: Final = re.compile(r"[-+0-9e]*(\.[-+0-9e]*)?")
UNSURE: Final = re.compile(r"\d{1,3}|\d*e\d*")


def look_for(node: query.Node) -> Look | None:
    """A test of a stored line; None when every line may match."""
    match node:
        case query.And(items):
            needed = [look for look in map(look_for, items) if look is not None]
            return (lambda line: all(look(line) for look in needed)) if needed else None
        case query.Or(items):
            looks = [look_for(item) for item in items]
            known = [look for look in looks if look is not None]
            return (lambda line: any(look(line) for look in known)) if len(known) == len(looks) else None
        case query.Term(field, wanted) if field != EVENT_ID:
            return _look(text.fold(wanted))
        case query.Wild(field, literals, _) if field != EVENT_ID:
            return _look_literally(literals) or _look(" ".join(map(text.fold, literals)))
        case _:
            return None


def _look(folded: str) -> Look | None:
    if any(not word.isascii() for word in text.words(folded)):
        return lambda line: not line.isascii()
    sure = [word for word in text.words(folded) if not UNSURE.fullmatch(word)]
    if not sure:
        return None
    needle = max(sure, key=len).encode()
    return lambda line: needle in line.lower() or _holds(MAY_FOLD, line)


def _holds(disguise: re.Pattern[bytes], line: bytes) -> bool:
    return not line.isascii() and disguise.search(line.translate(None, ASCII)) is not None


def _look_literally(literals: Sequence[str]) -> Look | None:
    """A test for the longest literal as it stands, signs and all; None where words say as much.

    Signs come from more characters than letters do: an ellipsis folds to three dots.
    """
    needle = max(literals, key=len).lower()
    if not PLAIN.fullmatch(needle) or needle.isalnum() or NUMERIC.fullmatch(needle):
        return None
    wanted = needle.encode()
    return lambda line: wanted in line.lower() or _holds(MAY_SIGN, line)
