from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from secops.normalise.parser import DocumentParser, FormatParser, Joiner, LineParser, MessageParser, ProgramParser

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitors.record import Record
    from secops.normalise.parser import Desk
    from secops.records import Event


class Registry(NamedTuple):
    """Every parser found in ``secops/normalise/parsers``, by what it is asked for."""

    formats: Mapping[str, Callable[[Record, str, Desk], list[Event]]]
    programs: Mapping[str, Callable[[Event, str], None]]
    documents: tuple[DocumentParser, ...]
    lines: tuple[LineParser, ...]
    messages: tuple[MessageParser, ...]
    joiners: tuple[Joiner, ...]


@cache
def registry() -> Registry:
    """Walk the parsers' folder once; a parser module lists what it offers in ``PARSERS``."""
    package = importlib.import_module("secops.normalise.parsers")
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    offers = [offer for name in names for offer in importlib.import_module(f"{package.__name__}.{name}").PARSERS]
    return Registry(
        formats={offer.format: offer.parse for offer in offers if isinstance(offer, FormatParser)},
        programs={
            program: offer.parse for offer in offers if isinstance(offer, ProgramParser) for program in offer.programs
        },
        documents=tuple(sorted((offer for offer in offers if isinstance(offer, DocumentParser)), key=_order)),
        lines=tuple(sorted((offer for offer in offers if isinstance(offer, LineParser)), key=_order)),
        messages=tuple(sorted((offer for offer in offers if isinstance(offer, MessageParser)), key=_order)),
        joiners=tuple(offer for offer in offers if isinstance(offer, Joiner)),
    )


def _order(offer: DocumentParser | LineParser | MessageParser) -> int:
    return offer.order
