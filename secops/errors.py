"""One error for people: it names the thing and the way out, in Chinese and English."""

from __future__ import annotations


class UserError(Exception):
    """Something a person asked for cannot be done; shown as it is, in the person's language.

    ``identity``, ``ca`` and ``monitors`` raise errors of their own with the same three attributes; the edges
    (CLI, API, console) turn every one of them into a message.
    """

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(en)
        self.code = code  # stable, machine-readable, e.g. ticket.state
        self.zh = zh
        self.en = en
