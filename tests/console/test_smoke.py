from __future__ import annotations

from tests.console.world import World


def test_healthz(world: World) -> None:
    with world.client() as client:
        assert client.get("/healthz").text == "ok\n"
