from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from secops.match.load import load_rules
from secops.match.rule import RuleSet

Documents = Callable[..., RuleSet]


def rule(detection: dict[str, Any], number: int = 1, **more: Any) -> dict[str, Any]:
    """A rule with the least around its detection."""
    return {
        "title": f"Rule {number}",
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "logsource": {"product": "test"},
        "detection": detection,
        **more,
    }


def correlation(body: dict[str, Any], number: int = 900, **more: Any) -> dict[str, Any]:
    """A correlation rule with the least around it."""
    return {
        "title": f"Correlation {number}",
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "correlation": body,
        **more,
    }


def watch(body: dict[str, Any], number: int = 700, **more: Any) -> dict[str, Any]:
    """A watch over every event of the tests' log source, with the least around it."""
    return {
        "title": f"Watch {number}",
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "logsource": {"product": "test"},
        "watch": body,
        **more,
    }


@pytest.fixture
def load(tmp_path: Path) -> Documents:
    """Load documents, each a mapping or YAML text, as one file."""

    def loaded(*documents: dict[str, Any] | str, **options: Any) -> RuleSet:
        texts = [
            each if isinstance(each, str) else yaml.safe_dump(each, allow_unicode=True, sort_keys=False)
            for each in documents
        ]
        (tmp_path / "rules.yml").write_text("\n---\n".join(texts), encoding="utf-8")
        return load_rules([tmp_path / "rules.yml"], **options)

    return loaded
