"""A field of an event that stands on a list of indicators: a known bad address, domain, file hash or URL.

Rules of this kind:

* every matching event is a hit by itself, grouped as a plain rule's hits are; the first list that holds one of the
  fields is said, with its line and note;
* an address matches the networks it is in, the smallest first; a domain matches its entry and every name below it, on
  the borders of labels; hashes match in either case, also inside ``SHA1=...,MD5=...``; a URL matches whole, whatever
  its scheme;
* lists lie beside the rule or below its folder, or are named by an absolute path inside the folders of rules. A changed
  list is read again as a changed rule is. Lines that are no indicators are counted (``dropped``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secops.match.indicators import LIST_SUFFIXES, SHAPES, Entry, Indicators, read_list, texts_of
from secops.match.keys import plain_group
from secops.match.kind import Keys, Kind, Place
from secops.match.rule import Atom, Listed, Or, Rule, Watch
from secops.match.stateful import Firing, Untimed

if TYPE_CHECKING:
    from secops.match.rule import Expression
    from secops.match.source import RuleError
    from secops.match.stateful import Occurrence

MAX_LISTS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is looked for, and where."""

    indicator: str  # ip, domain, hash, url
    fields: tuple[str, ...]
    lists: tuple[str, ...]  # absolute paths


def read(keys: Keys, place: Place) -> Settings:
    """The settings of a rule; the lists are read, so that one which holds nothing of use is refused at once."""
    indicator = keys.choice("indicator", SHAPES)
    names = keys.texts("lists", needed=True)
    if len(names) > MAX_LISTS:
        raise keys.error("lists", f"超过 {MAX_LISTS} 个", f"more than {MAX_LISTS}")
    paths = [_path(keys, name, place) for name in names]
    for path in paths:
        _check(keys, path, indicator)
    return Settings(
        indicator=indicator, fields=keys.texts("fields", needed=True), lists=tuple(str(path) for path in paths)
    )


def _path(keys: Keys, name: str, place: Place) -> Path:
    """Where a list lies; links are followed before it is judged whether that is inside."""
    inside = place.roots if Path(name).is_absolute() else (place.folder,)
    path = (place.folder / name).resolve()
    if not any(path.is_relative_to(root.resolve()) for root in inside):
        raise keys.error(
            "lists",
            f"{name!r} 在规则目录之外：放在规则旁边或其下级目录",
            f"{name!r} is outside: put it beside the rule, below it, or give a path inside the folders of rules",
        )
    if path.suffix not in LIST_SUFFIXES:
        raise keys.error("lists", f"{name!r} 应以 .txt 或 .csv 结尾", f"{name!r} must end in .txt or .csv")
    return path


def _check(keys: Keys, path: Path, indicator: str) -> None:
    try:
        found = read_list(path, indicator)
    except (OSError, ValueError) as error:
        raise _refused(keys, path, str(error)) from error
    if not found.entries and found.unreadable:
        raise _refused(keys, path, f"line {found.first_unreadable} is no {indicator}, nor is any other")


def _refused(keys: Keys, path: Path, reason: str) -> RuleError:
    return keys.error("lists", f"无法使用 {path.name}：{reason}", f"cannot use {path.name}: {reason}")


def narrow(settings: Settings) -> Expression:
    """Some field stands on some list: so the engine, which knows values that come again, brings up nothing else."""
    tests = [Listed(settings.indicator, path, _written(Path(path))) for path in settings.lists]
    return Or(tuple(Atom(field, test) for field in settings.fields for test in tests))


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # it went away since it was looked at: nothing is on it
        return 0


class Ioc(Untimed):
    """One rule; it remembers nothing."""

    def __init__(self, rule: Rule, lateness: int) -> None:  # noqa: ARG002 - see Kind
        assert isinstance(rule.body, Watch)
        self.rule = rule
        self.settings: Settings = rule.body.settings
        self.late = self.evicted = self.dropped = 0
        self._lists: list[tuple[str, Indicators]] = []
        for name in self.settings.lists:
            self._open(Path(name))

    def _open(self, path: Path) -> None:
        """Take a list in; one that went away since the rule was read is counted and left out."""
        try:
            found = read_list(path, self.settings.indicator)
        except (OSError, ValueError):
            self.dropped += 1
            return
        self.dropped += found.unreadable
        self._lists.append((path.name, found))

    def feed(self, hit: Occurrence) -> Firing | None:
        """See Stateful."""
        for name in self.settings.fields:
            for text in texts_of(hit.fields.get(name)):
                for listed, indicators in self._lists:
                    entry = indicators.find(text)
                    if entry is not None:
                        return self._firing(hit, name, text, listed, entry)
        return None

    def _firing(self, hit: Occurrence, field: str, text: str, listed: str, entry: Entry) -> Firing:
        group = plain_group(self.rule.info, hit.fields)
        told = {"ioc.indicator": entry.indicator, "ioc.list": listed, "ioc.line": entry.line}
        note = {"ioc.note": entry.note} if entry.note else {}
        return Firing(group, 1, (hit.event_id,), {field: text, **told, **note})

    def expire(self, now: int) -> None:
        """See Stateful."""

    def take_changes(self) -> dict[str, bytes | None]:
        """See Stateful."""
        return {}

    def restore(self, data: bytes) -> None:  # noqa: ARG002 - see Stateful
        """See Stateful."""
        raise ValueError("nothing is stored for lists of indicators")

    def order(self) -> None:
        """See Stateful."""


KIND: Final = Kind("ioc", Settings, read, Ioc, narrow)
