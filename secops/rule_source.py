"""Where the rules lie, and the rule set that the folders give; needs settings alone, so that a process that only matches holds no keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from secops.match.load import list_files, rule_files
from secops.match.stored import load_stored
from secops.rulebook.folder import tenant_of

if TYPE_CHECKING:
    from secops.match.rule import RuleSet
    from secops.settings import Settings

RulesPrint: TypeAlias = "tuple[tuple[str, int, int], ...]"  # of every rule file: name, time of change, size


def content_dir() -> Path:
    """Give the folder that holds rules/, runbooks/ and dashboards/: the checkout's, or the installed package's."""
    package = Path(__file__).resolve().parent
    return package.parent if (package.parent / "rules").is_dir() else package / "content"


def rule_folders(settings: Settings) -> tuple[Path, ...]:
    """Where detection rules lie: the product's own, the state folder's, and those in the settings."""
    own = content_dir() / "rules"
    folders = (own / "detection", own / "correlation", own / "watch", settings.state / "rules", *settings.detect.rules)
    return tuple(folder for folder in folders if folder.is_dir())


def rules_print(settings: Settings) -> RulesPrint:
    """What tells one state of the rule files from another without reading them."""
    found = []
    folders = rule_folders(settings)
    for path in (*rule_files(folders), *list_files(folders)):
        try:
            seen = path.stat()
        except FileNotFoundError:  # gone between the walk and the look
            continue
        found.append((str(path), seen.st_mtime_ns, seen.st_size))
    return tuple(found)


def cache_dir(settings: Settings) -> Path:
    """Rules as understood and compiled; may be deleted at any time."""
    return settings.state / "cache"


def imported_dir(settings: Settings) -> Path:
    """Folders of rules that were imported, each under its name."""
    return settings.state / "rules" / "imported"


def console_dir(settings: Settings) -> Path:
    """Rules written in the console that are in force."""
    return settings.state / "rules" / "console"


def load_rules(settings: Settings) -> RuleSet:
    """The rules as the folders hold them now; quick when nothing has changed since they were last read.

    What is in a folder that was imported for one tenant is about that tenant alone; no rule that was imported or written in
    the console names a list of indicators elsewhere. Needs no open service, so that processes which only match hold no keys.
    """
    imported = {f"{each}/": tenant_of(each) for each in imported_dir(settings).glob("*") if each.is_dir()}
    return load_stored(
        rule_folders(settings),
        cache_dir(settings),
        placeholders=settings.detect.placeholders,
        tenants={**imported, f"{console_dir(settings)}/": ""},
    )
