from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitors.framing import FARTHEST_SKIP, Frame, LineSplitter, SyslogFramer

LONGEST = 64

# What a sender puts on the wire: a counted message may hold anything after its "<", a line no newline.
counted = st.binary(max_size=LONGEST - 1).map(lambda tail: (True, b"<" + tail))
line = (
    st.binary(min_size=1, max_size=LONGEST)
    .filter(lambda text: b"\n" not in text and text[:1] not in b"0123456789\r\x00" and text[-1:] not in b"\r\x00")
    .map(lambda text: (False, text))
)


def wire(messages: list[tuple[bool, bytes]]) -> bytes:
    return b"".join(b"%d %s" % (len(text), text) if is_counted else text + b"\n" for is_counted, text in messages)


def feed_in_pieces(framer: SyslogFramer, data: bytes, cuts: list[int]) -> list[Frame]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [frame for start, end in pairwise(edges) for frame in framer.feed(data[start:end])]


@given(st.lists(counted | line), st.lists(st.integers(min_value=0)))
def test_any_mixture_cut_anywhere_comes_back_whole(messages: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    framer = SyslogFramer(LONGEST)
    frames = feed_in_pieces(framer, wire(messages), cuts)
    assert frames == [Frame(text) for _, text in messages]
    assert framer.close(clean=True) == []


@given(st.binary(max_size=2000), st.lists(st.integers(min_value=0)))
def test_hostile_bytes_never_raise_and_memory_stays_bounded(data: bytes, cuts: list[int]) -> None:
    framer = SyslogFramer(LONGEST)
    frames = feed_in_pieces(framer, data, cuts)
    frames += framer.close(clean=False)
    assert all(len(frame.raw) <= LONGEST for frame in frames)
    assert framer.feed(b"") == []


@given(st.binary(max_size=2000), st.lists(st.integers(min_value=0)))
def test_where_the_stream_is_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    whole, pieces = SyslogFramer(LONGEST), SyslogFramer(LONGEST)
    expected = whole.feed(data) + whole.close(clean=True)
    assert feed_in_pieces(pieces, data, cuts) + pieces.close(clean=True) == expected


def test_oversized_counted_message_is_skipped_and_the_next_is_read() -> None:
    long = b"<13>" + b"x" * 200
    frames = SyslogFramer(LONGEST).feed(b"%d %s" % (len(long), long) + b"9 <13>hello")
    assert frames == [Frame(long[:LONGEST], "oversized"), Frame(b"<13>hello")]


def test_oversized_line_is_skipped_and_the_next_is_read() -> None:
    framer = SyslogFramer(LONGEST)
    assert framer.feed(b"<13>" + b"y" * 100) == [Frame(b"<13>" + b"y" * 60, "oversized")]
    assert framer.feed(b"still the same line\n<13>next\n") == [Frame(b"<13>next")]


def test_once_counted_a_binary_message_keeps_the_stream_in_step() -> None:
    frames = SyslogFramer(LONGEST).feed(b"9 <13>first5 \x00\x01\n\x02\xff8 <13>last")
    assert [frame.raw for frame in frames] == [b"<13>first", b"\x00\x01\n\x02\xff", b"<13>last"]


def test_a_count_nobody_can_mean_is_not_believed() -> None:
    frames = SyslogFramer(LONGEST).feed(b"%d <13>boo\n<13>good\n" % (FARTHEST_SKIP + 1))
    assert frames[-1] == Frame(b"<13>good")


def test_a_line_that_starts_with_a_number_is_a_line() -> None:
    frames = SyslogFramer(LONGEST).feed(b"2026-11-24T08:00:00Z host x\n45: *Nov 24 08:00:00: %SYS-5-X: y\n")
    assert [frame.raw for frame in frames] == [b"2026-11-24T08:00:00Z host x", b"45: *Nov 24 08:00:00: %SYS-5-X: y"]


def test_what_is_left_at_the_end() -> None:
    for left, clean, expected in (
        (b"<13>no newline", True, [Frame(b"<13>no newline")]),
        (b"<13>no newline", False, [Frame(b"<13>no newline", "truncated")]),
        (b"50 <13>half", True, [Frame(b"50 <13>half", "truncated")]),
        (b"\r\n", True, []),
    ):
        framer = SyslogFramer(LONGEST)
        assert framer.feed(left) == []
        assert framer.close(clean=clean) == expected


@given(st.lists(st.binary(max_size=30).filter(lambda text: b"\n" not in text)), st.lists(st.integers(min_value=0)))
def test_lines_know_where_they_end(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter(30)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found = [line for start, end in pairwise(edges) for line in splitter.feed(data[start:end])]
    assert [line.raw for line in found] == [stripped for line in lines if (stripped := line.rstrip(b"\r"))]
    assert all(data[: line.end].endswith(b"\n") for line in found)
    assert splitter.read == len(data)


def test_long_line_is_given_when_it_ends() -> None:
    splitter = LineSplitter(8)
    assert splitter.feed(b"0123456789") == []
    assert splitter.feed(b"abc") == []
    (line,) = splitter.feed(b"d\n")
    assert (line.raw, line.error, line.end) == (b"01234567", "oversized", 15)
    assert splitter.feed(b"short\n")[0].error == ""
