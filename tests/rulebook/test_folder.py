"""A folder of rules from a stranger is copied within bounds; an update says what it changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.errors import UserError
from secops.rulebook import folder


def quiet(_done: int, _of: int) -> None:
    """Nobody watches."""


def take(source: Path, target: Path) -> folder.Copied:
    return folder.copy(source, target, tenant="", progress=quiet)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    (made / "windows").mkdir(parents=True)
    (made / "windows" / "one.yml").write_text("title: one")
    (made / "two.yaml").write_text("title: two")
    (made / "README.md").write_text("not a rule")
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "imported" / "own"


def test_rule_files_are_copied_and_an_update_says_what_changed(source: Path, target: Path) -> None:
    seen: list[tuple[int, int]] = []
    first = folder.copy(source, target, tenant="county-a", progress=lambda done, of: seen.append((done, of)))
    assert (first.files, first.added, first.changed, first.removed) == (2, ["two.yaml", "windows/one.yml"], [], [])
    assert seen[-1] == (2, 2)
    assert folder.tenant_of(target) == "county-a"
    (source / "two.yaml").write_text("title: changed")
    (source / "windows" / "one.yml").unlink()
    (source / "three.yml").write_text("title: three")
    second = take(source, target)
    assert (second.added, second.changed, second.removed) == (["three.yml"], ["two.yaml"], ["windows/one.yml"])
    assert (target / "two.yaml").read_text() == "title: changed"
    assert not (target / "windows" / "one.yml").exists()
    third = take(source, target)
    assert (third.added, third.changed, third.removed, third.files) == ([], [], [], 2)


def test_links_devices_and_deep_folders_are_not_followed(
    source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_DEPTH", 2)
    secret = tmp_path / "secret.yml"
    secret.write_text("password")
    (source / "link.yml").symlink_to(secret)
    (source / "loop").symlink_to(source)
    os.mkfifo(source / "pipe.yml")
    (source / ".git").mkdir()
    (source / ".git" / "x.yml").write_text("hidden")
    (source / "a" / "b" / "c").mkdir(parents=True)
    (source / "a" / "b" / "c" / "deep.yml").write_text("deep")
    copied = take(source, target)
    assert copied.files == 2
    assert sorted(name for name, _, _ in copied.skipped) == ["a/b/c", "link.yml", "loop", "pipe.yml"]
    assert all(zh and en for _, zh, en in copied.skipped)


def test_too_large_a_file_is_left_out_and_counted(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MAX_FILE", 100)
    (source / "huge.yml").write_bytes(b"x" * 101)
    copied = take(source, target)
    assert (copied.files, copied.skipped_count) == (2, 1)
    assert not (target / "huge.yml").exists()


@pytest.mark.parametrize("bound", ["MAX_FILES", "MAX_ALL"])
def test_too_many_files_change_nothing(source: Path, target: Path, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, bound, 1)
    with pytest.raises(UserError, match="in parts"):
        take(source, target)
    assert not target.exists()


def test_an_empty_folder_does_not_empty_what_was_imported(source: Path, target: Path, tmp_path: Path) -> None:
    take(source, target)
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "missing", source / "two.yaml"):
        with pytest.raises(UserError):
            take(wrong, target)
    assert (target / "two.yaml").exists()


def test_a_file_that_became_a_folder_does_not_stop_the_rest(source: Path, target: Path) -> None:
    take(source, target)
    (source / "two.yaml").unlink()
    (source / "two.yaml").mkdir()
    (source / "two.yaml" / "inner.yml").write_text("title: inner")
    (source / "four.yml").write_text("title: four")
    copied = take(source, target)
    assert copied.added == ["four.yml"]
    assert [name for name, _, _ in copied.skipped] == ["two.yaml/inner.yml"]
    assert "two.yaml/inner.yml" in take(source, target).added  # the old file is gone by then


@given(st.text(max_size=80))
def test_a_name_is_a_plain_folder_name_or_refused(name: str) -> None:
    try:
        assert folder.check_name(name) == name
    except UserError:
        return
    assert Path(name).name == name
    assert not name.startswith(".")


def test_the_name_comes_from_the_folder(tmp_path: Path) -> None:
    assert folder.name_for(tmp_path / "Sigma HQ (2026)") == "sigma-hq-2026"


def test_a_folder_whose_mark_is_damaged_runs_for_nobody(tmp_path: Path) -> None:
    assert folder.tenant_of(tmp_path) == ""
    for damaged in (b"", b"{", b"[]", b"{}"):
        (tmp_path / folder.MARK).write_bytes(damaged)
        assert folder.tenant_of(tmp_path) == folder.NOBODY
