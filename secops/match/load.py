"""Reads Sigma YAML strictly: a rule is either understood whole or refused with file, line and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secops.match.rule import RuleSet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def load_rules(paths: Sequence[Path]) -> RuleSet:
    """Read every ``*.yml`` and ``*.yaml`` under the paths (files or folders), in the order of their names."""
    return RuleSet(roots=tuple(paths))
