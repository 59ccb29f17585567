"""How text becomes words, the same for the index, the queries and the evaluator.

Text is folded (NFKC, case). A word is a run of letters and digits; every Chinese, Japanese or Korean character is a
word of its own, because those scripts put no spaces between words. A phrase matches where its words follow one
another, so ``登录失败`` finds any message that contains it. The index holds pairs of neighbouring CJK characters instead of
single ones: they are rarer, and what the pairs promise is confirmed on the event.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
ASCII_WORD: Final = re.compile(r"[0-9a-z]+")
ANY_WORD: Final = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")
RUN: Final = re.compile(r"[^\W_]+")
IS_CJK: Final = re.compile(rf"[{CJK}]")


def fold(text: str) -> str:
    """One form for what people see as the same: full-width and half-width, upper and lower case."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def words(folded: str) -> list[str]:
    """The words of folded text, in order."""
    return ASCII_WORD.findall(folded) if folded.isascii() else ANY_WORD.findall(folded)


def line(folded: str) -> str:
    """Words joined and framed by spaces: phrase a occurs in b where the line of a is part of the line of b."""
    return f" {' '.join(words(folded))} "


def is_cjk(word: str) -> bool:
    """Whether a word is a single CJK character."""
    return len(word) == 1 and IS_CJK.match(word) is not None


def index_words(folded: str) -> list[str]:
    """What the index stores for folded text: words, and for CJK each character joined with the CJK one after it."""
    found = words(folded)
    if folded.isascii():
        return found
    joined = []
    for number, word in enumerate(found):
        follower = found[number + 1] if number + 1 < len(found) else ""
        joined.append(word + follower if is_cjk(word) and is_cjk(follower) else word)
    return joined
