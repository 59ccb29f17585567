from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

from secops.console import labels
from secops.console.rendering import HERE
from secops.console.texts import load_texts

MARKERS = {"N_", "gettext"}


def message_ids() -> dict[str, str]:
    """Every message id of templates and code, with where it stands."""
    found = dict(template_ids())
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in MARKERS:
                    found[node.args[0].value] = f"{path.name}:{node.lineno}"
    return found


def template_ids() -> Iterator[tuple[str, str]]:
    environment = jinja2.Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    for path in (HERE / "templates").glob("*.html"):
        for line, _function, message in environment.extract_translations(path.read_text()):  # type: ignore[attr-defined]
            texts = [message] if isinstance(message, str) else [one for one in message or () if isinstance(one, str)]
            for text in texts[:1]:
                yield text, f"{path.name}:{line}"


def test_every_text_is_translated() -> None:
    known = load_texts()["zh"].messages
    missing = {text: place for text, place in message_ids().items() if text not in known}
    assert not missing


def test_no_translation_is_left_over() -> None:
    assert not set(load_texts()["zh"].messages) - set(message_ids())


def test_translations_keep_their_placeholders() -> None:
    def names(text: str) -> set[str]:
        return {part.split(")")[0] for part in text.split("%(")[1:]}

    wrong = {ours: theirs for ours, theirs in load_texts()["zh"].messages.items() if names(ours) != names(theirs)}
    assert not wrong


def test_translations_are_chinese() -> None:
    latin_only = [text for text in load_texts()["zh"].messages.values() if text.isascii()]
    assert not latin_only


def test_pages_hold_no_inline_style_or_script() -> None:
    for path in (HERE / "templates").glob("*.html"):
        text = path.read_text()
        assert " style=" not in text, path.name
        assert "<style" not in text, path.name
        assert not re.search(r"\son[a-z]+=", text), path.name
        assert text.count("<script") == text.count("<script src="), path.name


def test_every_notice_of_a_done_act_is_a_known_text() -> None:
    assert set(labels.DONE.values()) <= set(message_ids())


def test_a_missing_catalogue_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="zh_CN"):
        load_texts(tmp_path)
