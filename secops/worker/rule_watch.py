"""Looks whether the rule folders changed, and keeps the last good set when the new one cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secops.match.load import load_rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from secops.match.rule import RuleSet

Print = tuple[tuple[str, int, int], ...]


class RuleWatch:
    """The running rules and their folders."""

    def __init__(self, folders: Sequence[Path], every_seconds: float) -> None:
        self._folders = tuple(folders)
        self._every = every_seconds
        self._looked = 0.0
        self._print = self._fingerprint()
        self.rules: RuleSet = load_rules(self._folders)
        self.broken: list[str] = []  # what is wrong with the folders as they are now, while an older set runs

    def changed(self, monotonic: float) -> bool:
        """Look when it is time; True when ``rules`` is a new set.

        A file that was good and is refused now keeps the whole last good set running: half a set would be a blind
        spot that nobody asked for. Files refused from the beginning are listed with the set itself.
        """
        if monotonic - self._looked < self._every:
            return False
        self._looked = monotonic
        print_now = self._fingerprint()
        if print_now == self._print:
            return False
        self._print = print_now
        try:
            rules = load_rules(self._folders)
        except OSError as error:
            self.broken = [
                f"规则目录无法读取，沿用上一版规则 / rule folder unreadable, the last good set runs: {error}"
            ]
            return False
        known = {(r.file, r.line) for r in self.rules.refused}
        fresh = [r for r in rules.refused if (r.file, r.line) not in known]
        if fresh:
            self.broken = [f"{r.file}:{r.line}: {r.zh} / {r.en}" for r in fresh[:20]]
            return False
        self.rules, self.broken = rules, []
        return True

    def _fingerprint(self) -> Print:
        files = sorted(path for folder in self._folders for path in folder.rglob("*.y*ml"))
        found = []
        for path in files:
            try:
                seen = path.stat()
            except FileNotFoundError:  # gone between the walk and the look
                continue
            found.append((str(path), seen.st_mtime_ns, seen.st_size))
        return tuple(found)
