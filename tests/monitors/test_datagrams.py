from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.datagrams import Burst, Datagrams

MANY = 4
LONGEST = 64


def pair(family: socket.AddressFamily, host: str) -> tuple[socket.socket, socket.socket]:
    source, target = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    source.setblocking(False)
    source.bind((host, 0))
    target.connect(source.getsockname())
    return source, target


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
@given(texts=st.lists(st.binary(max_size=LONGEST + 8), min_size=1, max_size=12))
def test_what_was_sent_is_taken_in_order_cut_where_it_is_too_long(
    family: socket.AddressFamily, host: str, texts: list[bytes]
) -> None:
    source, target = pair(family, host)
    with source, target:
        burst, datagrams = Burst(target, texts), Datagrams(source, many=MANY, longest=LONGEST)
        sent = 0
        while sent < 2 * len(texts):
            sent += burst.send(sent, 2 * len(texts) - sent)
        taken = []
        while some := datagrams.take():
            assert len(some) <= MANY
            taken += some
        assert [text for text, _ in taken] == [text[:LONGEST] for text in texts] * 2
        name, port = target.getsockname()[:2]
        assert {peer for _, peer in taken} == {f"[{name}]:{port}" if ":" in name else f"{name}:{port}"}
        assert datagrams.dropped() == 0


def test_what_the_kernel_drops_is_told_without_a_further_datagram() -> None:
    source, target = pair(socket.AF_INET, "127.0.0.1")
    with source, target:
        source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        burst, datagrams = Burst(target, [b"x" * 1000] * 200), Datagrams(source, many=500, longest=1000)
        assert burst.send(0, 200) == 200
        taken = datagrams.take()
        assert 0 < len(taken) < 200
        assert len(taken) + datagrams.dropped() == 200


def test_sending_to_nobody_is_an_error() -> None:
    source, target = pair(socket.AF_INET, "127.0.0.1")
    source.close()
    with target:
        burst = Burst(target, [b"x"])
        burst.send(0, 1)
        with pytest.raises(ConnectionRefusedError):
            burst.send(0, 1)
