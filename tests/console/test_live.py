"""Server-sent events: changes arrive at once, and a stream ends when its session does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

import httpx
import pytest

from secops.alert import queries
from secops.api.session import COOKIE
from secops.console.live import MOST_OF_ONE
from tests.console.world import World

PATIENCE = 15.0


@contextmanager
def stream(client: httpx.Client, topic: str) -> Iterator[Queue[str]]:
    """The names of the events of a stream, as they arrive; "closed" at its end."""
    names: Queue[str] = Queue()

    def listen(answer: httpx.Response) -> None:
        try:
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    names.put(line.removeprefix("event: "))
            names.put("closed")
        except (httpx.HTTPError, httpx.StreamError):
            names.put("broken")

    with client.stream("GET", f"/live?topic={topic}") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        listener = threading.Thread(target=listen, args=(answer,))
        listener.start()
        try:
            yield names
        finally:
            answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            listener.join(PATIENCE)


def await_name(names: Queue[str], wanted: str) -> float:
    """Seconds until the event with this name."""
    begun = time.monotonic()
    while (name := names.get(timeout=PATIENCE)) != wanted:
        assert name not in {"closed", "broken"}, f"ended before {wanted}"
    return time.monotonic() - begun


def test_a_new_alert_and_its_ticket_are_announced(world: World) -> None:
    with world.client("officer") as client, stream(client, "alerts") as alerts, stream(client, "tickets") as tickets:
        alert = world.brute_force("203.0.113.101")
        assert await_name(alerts, "changed") < 1.5
        assert await_name(tickets, "changed") < 1.5
        with world.service.database.begin() as tx:
            queries.acknowledge(tx, alert.id, actor="officer", now=world.clock())
        assert await_name(alerts, "changed") < 1.5


def test_new_events_are_announced(world: World) -> None:
    with world.client("officer") as client, stream(client, "events") as names:
        world.ingest("<13>Nov 24 08:00:00 live-1 app[1]: live")
        assert await_name(names, "changed") < 1.5


def test_a_revoked_certificate_ends_its_streams_within_a_second(world: World) -> None:
    issued, file, _password = world.pkcs12("inspector")
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - one test needs the DER form
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12  # noqa: PLC0415

    content = load_pkcs12(file, _password.encode())
    assert content.cert is not None
    login = world.service.identity.login_certificate(
        content.cert.certificate.public_bytes(Encoding.DER), source_ip="127.0.0.1", now=world.clock()
    )
    assert login.session is not None
    with world.client() as client:
        client.cookies.set(COOKIE, login.session.token, domain="localhost.local")
        with stream(client, "alerts") as names:
            world.service.authority.revoke(issued.serial, reason="keyCompromise", actor="admin", now=world.clock())
            assert await_name(names, "ended") < 1.0
            assert await_name(names, "closed") < 1.0


def test_a_logout_ends_the_streams_of_the_session(world: World) -> None:
    token = world.log_in("inspector")
    with world.client() as client:
        client.cookies.set(COOKIE, token, domain="localhost.local")
        with stream(client, "overview") as names:
            world.service.identity.logout(token, world.clock())
            assert await_name(names, "ended") < 1.0


def test_streams_of_one_session_are_bounded(world: World) -> None:
    with world.client("county") as client:
        opened = []
        try:
            for _ in range(MOST_OF_ONE):
                answer = client.send(client.build_request("GET", "/live?topic=overview"), stream=True)
                assert answer.status_code == 200
                opened.append(answer)
            assert client.get("/live?topic=overview").status_code == 503
            with world.client() as other:
                other.cookies.set(COOKIE, world.log_in("county"), domain="localhost.local")
                assert other.get("/live?topic=overview").status_code == 503, "another login of the same person"
        finally:
            for answer in opened:
                answer.close()


@pytest.mark.parametrize("topic", ["", "nonsense", "alerts'--"])
def test_unknown_topics_are_refused(world: World, topic: str) -> None:
    with world.client("officer") as client:
        assert client.get("/live", params={"topic": topic}).status_code == 400
