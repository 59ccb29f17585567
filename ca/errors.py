"""The authority's error for people: the same three attributes as the service's own, so the edges treat both alike."""

from __future__ import annotations


class CaError(Exception):
    """The authority will not do what was asked; the message names the thing and the way out in both languages."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(en)
        self.code = code  # stable and machine-readable, e.g. ca.clock
        self.zh = zh
        self.en = en
