"""Whom the state folder's files are for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from secops import wiring
from secops.settings import Settings


@pytest.mark.parametrize("before", [False, True])
def test_nobody_else_on_the_machine_reads_the_state_of_a_folder_that_was_there(tmp_path: Path, *, before: bool) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    mask = os.umask(0o022)
    try:
        if before:
            (state / "state.db").touch(mode=0o644)
        settings = Settings(state=state, _env_file=None)  # type: ignore[call-arg]
        wiring.prepare(settings)
        with wiring.opened(settings) as service, service.database.begin():
            readable = [str(path.relative_to(state)) for path in state.iterdir() if path.stat().st_mode & 0o077]
        assert readable == []
    finally:
        os.umask(mask)
