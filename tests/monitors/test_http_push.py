from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import tracemalloc
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from monitors.body import BodyError, decompress, split
from monitors.collector import Surroundings, build
from monitors.collectors.http_push import PATH
from monitors.http_exchange import Bucket
from monitors.http_tokens import tenant_of

TOKEN = "county-token-0123456789"
TOKENS = {hashlib.sha256(TOKEN.encode()).hexdigest(): "county", hashlib.sha256(b"other").hexdigest(): "other"}
BEARER = {"authorization": f"Bearer {TOKEN}"}


def listener(**settings: Any) -> Any:
    return build("http_push", {"port": 0, **settings}, Surroundings(tokens=lambda: TOKENS))


def push(running: Any, sink: Any, collector: Any, *requests: dict[str, Any]) -> list[httpx.Response]:
    """Start the collector, send the requests one after the other, and give the answers."""

    async def scenario() -> list[httpx.Response]:
        async with running(collector, sink), httpx.AsyncClient(trust_env=False, timeout=20) as client:
            base = "http://{}:{}".format(*collector.address)
            answers = []
            for request in requests:
                sink.full = request.pop("full", False)
                options = {"method": "POST", "url": base + PATH, "headers": BEARER, **request}
                options["url"] = options["url"] if "://" in options["url"] else base + options["url"]
                answers.append(await client.request(**options))
            return answers

    return asyncio.run(scenario())


@pytest.fixture
def sink(new_sink: Any) -> Any:
    return new_sink()


def test_json_lines_an_array_and_text(running: Any, sink: Any) -> None:
    collector = listener()
    answers = push(
        running,
        sink,
        collector,
        {"content": b'{"a":1}\n\n{"a":2}\r\n'},
        {"content": b' [{"a":3},\n{"a":4}]'},
        {"content": b'{\n"a":\n5}', "headers": {**BEARER, "content-type": "application/json"}},
        {"content": b"line one\nline two\n", "headers": {**BEARER, "content-type": "text/plain; charset=utf-8"}},
    )
    assert [answer.json() for answer in answers] == [{"accepted": 2}, {"accepted": 2}, {"accepted": 1}, {"accepted": 2}]
    assert sink.raws[:4] == [b'{"a":1}', b'{"a":2}', b'{"a":3}', b'{"a":4}']
    assert orjson.loads(sink.raws[4]) == {"a": 5}
    assert [record.format for record in sink.records] == ["json"] * 5 + ["line"] * 2
    assert {record.tenant for record in sink.records} == {"county"}
    assert sink.records[0].peer.startswith("127.0.0.1:")
    assert collector.counters.received["http_push"] == 7


def test_compressed_bodies(running: Any, sink: Any) -> None:
    body = b'{"a":1}\n' * 3
    halves = gzip.compress(body[:8]) + gzip.compress(body[8:])
    packed = {"gzip": halves, "zstd": zstandard.compress(body[:8]) + zstandard.compress(body[8:])}
    requests = [{"content": data, "headers": {**BEARER, "content-encoding": name}} for name, data in packed.items()]
    assert [answer.status_code for answer in push(running, sink, listener(), *requests)] == [200, 200]
    assert sink.raws == [b'{"a":1}'] * 6


def test_refusals_say_why_and_the_next_good_request_is_taken(running: Any, sink: Any) -> None:
    collector = listener(max_body=2000, max_unpacked=10_000, max_messages=5)
    good = {"content": b'{"a":1}'}
    cases: list[tuple[dict[str, Any], int]] = [
        ({**good, "headers": {}}, 401),
        ({**good, "headers": {"authorization": "Bearer wrong-token-0123456"}}, 401),
        ({**good, "headers": {"authorization": "Basic YWRtaW46YWRtaW4="}}, 401),
        ({**good, "method": "GET"}, 405),
        ({**good, "url": "/elsewhere"}, 404),
        ({"content": b"[1,", "headers": BEARER}, 400),
        ({"content": b"x" * 2001}, 413),
        ({"content": b"{}\n" * 6}, 413),
        ({"content": gzip.compress(b"0" * 20_000), "headers": {**BEARER, "content-encoding": "gzip"}}, 413),
        ({"content": zstandard.compress(b"0" * 20_000), "headers": {**BEARER, "content-encoding": "zstd"}}, 413),
        ({"content": b"not gzip", "headers": {**BEARER, "content-encoding": "gzip"}}, 400),
        ({"content": zstandard.compress(b"0" * 200)[:-4], "headers": {**BEARER, "content-encoding": "zstd"}}, 400),
        ({"content": b"x", "headers": {**BEARER, "content-encoding": "br"}}, 415),
    ]
    answers = push(running, sink, collector, *(request for request, _ in cases), good)
    assert [answer.status_code for answer in answers] == [status for _, status in cases] + [200]
    assert all(set(answer.json()["error"]) == {"zh", "en"} for answer in answers[:-1])
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert sink.raws == [b'{"a":1}']
    assert collector.counters.rejected["http_push"] == len(cases)


def test_a_full_disk_answers_503_and_takes_nothing(running: Any, sink: Any) -> None:
    full, later = push(running, sink, listener(), {"content": b"{}", "full": True}, {"content": b"{}"})
    assert (full.status_code, later.status_code) == (503, 200)
    assert int(full.headers["retry-after"]) > 0
    assert sink.raws == [b"{}"]


def test_too_fast_answers_429_with_the_time_to_wait(running: Any, sink: Any) -> None:
    collector = listener(rate=0.5, burst=2)
    first, second = push(running, sink, collector, {"content": b"{}\n{}"}, {"content": b"{}\n{}"})
    assert (first.status_code, second.status_code) == (200, 429)
    assert 1 <= int(second.headers["retry-after"]) <= 4


def test_a_tenant_over_its_quota_is_answered_429_and_no_other_is(running: Any, sink: Any) -> None:
    waits = iter([0.0, 2.2, 0.0])
    asked: list[str] = []

    def wait(tenant: str) -> float:
        asked.append(tenant)
        return next(waits)

    collector = listener()
    collector.surroundings = replace(collector.surroundings, wait=wait)
    answers = push(running, sink, collector, *({"content": b"{}"} for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert answers[1].headers["retry-after"] == "3"
    assert "配额" in answers[1].text
    assert asked == ["county"] * 3
    assert len(sink.records) == 2


def test_an_oversized_event_among_good_ones(running: Any, sink: Any) -> None:
    push(running, sink, listener(max_message=480), {"content": b"{}\n" + b"x" * 500 + b"\n{}"})
    assert sink.errors == ["", "oversized", ""]
    assert len(sink.records[1].raw) == 480


def test_connection_lives_on_after_refusals(running: Any, sink: Any) -> None:
    async def scenario() -> None:
        collector = listener()
        async with running(collector, sink):
            reader, writer = await asyncio.open_connection(*collector.address)
            for body, status in ((b"[", b"400"), (b"{}", b"200")):
                head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 " + status)
                length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())
    assert sink.raws == [b"{}"]


def test_many_members_are_not_unpacked_for_ever() -> None:
    for name, member in (("gzip", gzip.compress(b"x")), ("zstd", zstandard.compress(b"x"))):
        assert decompress(member * 60, name, 1000) == b"x" * 60
        with pytest.raises(BodyError):
            decompress(member * 100_000, name, 1_000_000)


@given(st.binary(max_size=300), st.sampled_from(["gzip", "zstd"]))
def test_damaged_bodies_are_refused_not_raised(body: bytes, encoding: str) -> None:
    try:
        assert len(decompress(body, encoding, 1000)) <= 1000
    except BodyError as error:
        assert error.status in {400, 413}


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=5), max_size=3), min_size=1))
def test_array_and_lines_are_cut_alike(documents: list[dict[str, Any]]) -> None:
    packed = [orjson.dumps(document) for document in documents]
    assert split(b"\n".join(packed), "")[0] == packed
    assert split(orjson.dumps(documents), "application/json")[0] == packed


def test_token_must_be_a_known_one() -> None:
    pair = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    for header in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Basic {pair}", f"ApiKey {pair}", f"ApiKey {TOKEN}"):
        assert tenant_of(header, TOKENS) == "county"
    wrong = base64.b64encode(f"{TOKEN}:anybody".encode()).decode()
    for header in (
        *("", "Bearer ", "Basic ", f"Bearer {TOKEN}x", "Bearer other", "Bearer " + "a" * 600, f"Bearer {pair}"),
        *(f"Basic {wrong}", f"Basic {TOKEN}", "Basic //////////////////8=", f"Digest {TOKEN}"),
    ):
        assert tenant_of(header, TOKENS) is None
    assert tenant_of("", {hashlib.sha256(b"").hexdigest(): "nobody"}) is None


def test_bucket_fills_again() -> None:
    bucket = Bucket(rate=10, burst=20)
    assert bucket.take(20, 100.0) == 0
    assert bucket.take(5, 100.0) == pytest.approx(0.5)
    assert bucket.take(5, 100.5) == 0
    assert bucket.take(1000, 200.0) == 0
    assert bucket.take(1, 200.0) > 0


def test_a_small_body_of_millions_of_tiny_parts_is_refused_before_it_is_parsed() -> None:
    tracemalloc.start()
    try:
        for body in (
            b"[" + b'{"":0},' * 3_000_000 + b"1]",
            b"x" + b"\n" * 20_000_000 + b"x",
            b'{"a":\n[' + b"[]," * 3_000_000 + b"1]}",
        ):
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            with pytest.raises(BodyError) as refused:
                split(body, "application/json")
            assert refused.value.status == 413
            assert tracemalloc.get_traced_memory()[1] - before < 200 << 20
    finally:
        tracemalloc.stop()
