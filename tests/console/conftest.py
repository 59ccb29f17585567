from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.console.world import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The served world; tests share it and add to it, and count only what they added."""
    made = make_world(tmp_path_factory.mktemp("world"))
    try:
        made.set_up()
        made.start()
        yield made
    finally:
        made.end()
