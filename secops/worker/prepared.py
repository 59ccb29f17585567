"""A rule set ready to run: understood, and its scanners compiled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops import rule_source
from secops.match.detector import searched
from secops.match.scan import Databases, write_whole
from secops.match.stored import decode, encode
from secops.match.tenants import Engines

if TYPE_CHECKING:
    from pathlib import Path

    from secops.match.rule import RuleSet
    from secops.settings import Settings

KEPT_SETS: Final = 6  # understood rule sets on disk; older ones are of folders that have changed since
KEPT_BYTES: Final = 512 * 2**20  # compiled scanners on disk


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rules and the engine that finds them; ``file`` holds the same rules for other processes."""

    rules: RuleSet
    engine: Engines
    file: Path


def make_ready(settings: Settings) -> Prepared:
    """Read the rules as the folders hold them now and compile them; quick when it was done before.

    Raises:
        OSError: a folder cannot be read.
    """
    rules = rule_source.load_rules(settings)
    folder = rule_source.cache_dir(settings)
    engine = compiled(rules, Databases(folder))
    data = encode(rules)
    file = folder / f"{hashlib.sha256(data).hexdigest()}.running"
    write_whole(file, data)
    prune(folder)
    return Prepared(rules, engine, file)


def compiled(rules: RuleSet, databases: Databases) -> Engines:
    """The engine of a rule set, with its usual plans made."""
    engine = Engines(searched(rules.rules), databases=databases)
    engine.prepare()
    return engine


def read_running(file: Path) -> RuleSet:
    """The rules that another process wrote to ``file``.

    Raises:
        OSError, ValueError, KeyError, TypeError, IndexError: it is not there or not that.
    """
    return decode(file.read_bytes(), ())


def prune(folder: Path) -> None:
    """Delete what old rule sets left behind; what is deleted too early is only made again."""
    for pattern in ("*.rules", "*.running"):
        for old in _newest_first(folder, pattern)[KEPT_SETS:]:
            old.unlink(missing_ok=True)
    total = 0
    for each in _newest_first(folder, "*.hs"):
        total += each.stat().st_size
        if total > KEPT_BYTES:
            each.unlink(missing_ok=True)


def _newest_first(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns, reverse=True)
