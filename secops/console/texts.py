"""The console's languages: message ids are English, ``locale/<language>.po`` holds the others, read at start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from babel.messages.pofile import read_po

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCALE: Final = Path(__file__).parent / "locale"
LANGUAGES: Final[Mapping[str, str]] = {"zh": "zh_CN", "en": ""}  # our code -> catalogue file, "" for the ids themselves
DEFAULT: Final = "zh"
LANGUAGE_COOKIE: Final = "__Host-secops-lang"


@dataclass(frozen=True, slots=True)
class Texts:
    """One language's texts."""

    lang: str
    messages: Mapping[str, str] = field(default_factory=dict)

    def gettext(self, message: str) -> str:
        """The text for a message id; the id itself where there is no translation."""
        return self.messages.get(message, message)

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        """The text for a number; Chinese has one form."""
        return self.messages.get(singular) or (singular if n == 1 else plural)

    def pick(self, zh: str, en: str) -> str:
        """One of two texts that came in both languages, the other where one is empty."""
        return (zh or en) if self.lang == "zh" else (en or zh)

    @property
    def tag(self) -> str:
        """The BCP 47 tag of the page."""
        return "zh-CN" if self.lang == "zh" else "en"


def load_texts(folder: Path = LOCALE) -> dict[str, Texts]:
    """Read every language.

    Raises:
        OSError, babel.messages.pofile.PoFileError: a catalogue is missing or broken.
    """
    return {lang: Texts(lang, _messages(folder / f"{name}.po") if name else {}) for lang, name in LANGUAGES.items()}


def _messages(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        catalogue = read_po(file, abort_invalid=True)
    messages: dict[str, str] = {}
    for message in catalogue:
        key, text = (one[0] if isinstance(one, (list, tuple)) else one for one in (message.id, message.string))
        if key and text and not message.fuzzy:
            messages[key] = text
    return messages
