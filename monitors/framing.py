from __future__ import annotations

import re
from typing import Final, NamedTuple

FARTHEST_SKIP: Final = 64 << 20  # bytes; an octet count beyond it is not believed
_COUNT: Final = re.compile(rb"[1-9][0-9]{0,9}")  # RFC 6587 section 3.4.1: NONZERO-DIGIT *DIGIT
_NEWLINE: Final = 0x0A
_LESS: Final = 0x3C
_SPACE: Final = 0x20
_BETWEEN: Final = frozenset(b"\r\n\x00")  # what senders put between messages


class Frame(NamedTuple):
    """A message cut out of a stream; ``error`` as in ``Record.error``."""

    raw: bytes
    error: str = ""


class SyslogFramer:
    """Cuts a TCP stream into syslog messages: octet counting and newlines (RFC 6587), told apart for every message.

    A message is octet-counted if it starts with a count, a space and ``<``; once a stream has counted, the ``<`` is no
    longer asked for, so that a damaged message does not put the stream out of step. Memory is bounded by ``longest``
    and one ``feed``.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._buffer = bytearray()
        self._scanned = 0  # where the search for a newline goes on
        self._skip = 0  # bytes of an oversized counted message still to come
        self._skip_line = False  # an oversized line has not ended yet
        self._counts = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take what arrived and give the messages that are complete with it."""
        self._buffer += data
        frames: list[Frame] = []
        position = 0
        while position < len(self._buffer):
            after = self._step(position, frames)
            if after is None:
                break
            position = after
        del self._buffer[:position]
        self._scanned = max(0, self._scanned - position)
        return frames

    def close(self, *, clean: bool) -> list[Frame]:
        """Give what is left when the stream ends: a last line without its newline is whole if the end was ``clean``."""
        rest = bytes(self._buffer).strip(b"\r\n\x00")
        self._buffer.clear()
        if not rest or self._skip or self._skip_line:
            return []
        return [Frame(rest, "" if clean and self._count(rest, 0) is None else "truncated")]

    def _step(self, start: int, frames: list[Frame]) -> int | None:
        """Take one thing from ``start``; give where the next begins, or None when more must arrive first."""
        buffer = self._buffer
        if self._skip:
            taken = min(self._skip, len(buffer) - start)
            self._skip -= taken
            return start + taken
        if self._skip_line:
            return self._end_of_skipped(start)
        first = buffer[start]
        if first in _BETWEEN:
            return start + 1
        count = None if first == _LESS else self._count(buffer, start)
        if count is None:
            return self._line(start, frames)
        return self._counted(count, frames) if count[1] else None

    def _count(self, buffer: bytes | bytearray, start: int) -> tuple[int, int] | None:
        """Read a count: ``(where the message starts, its length)``; length 0: not all there yet; None: not a count."""
        digits = _COUNT.match(buffer, start)
        if digits is None:
            return None
        end = digits.end()
        if end == len(buffer) or (buffer[end] == _SPACE and end + 1 == len(buffer) and not self._counts):
            return end, 0
        length = int(digits[0])
        believed = self._counts or buffer[end : end + 2] == b" <"
        return (end + 1, length) if buffer[end] == _SPACE and believed and length <= FARTHEST_SKIP else None

    def _counted(self, count: tuple[int, int], frames: list[Frame]) -> int | None:
        start, length = count
        available = len(self._buffer) - start
        if length > self._longest:
            if available < self._longest:
                return None
            self._counts = True
            frames.append(Frame(bytes(self._buffer[start : start + self._longest]), "oversized"))
            self._skip = length - self._longest
            return start + self._longest
        if available < length:
            return None
        self._counts = True
        frames.append(Frame(bytes(self._buffer[start : start + length])))
        return start + length

    def _line(self, start: int, frames: list[Frame]) -> int | None:
        end = self._buffer.find(_NEWLINE, max(start, self._scanned))
        if end < 0 and len(self._buffer) - start <= self._longest:
            self._scanned = len(self._buffer)
            return None
        if end < 0 or end - start > self._longest:
            frames.append(Frame(bytes(self._buffer[start : start + self._longest]), "oversized"))
            self._skip_line = end < 0
            self._scanned = 0
            return len(self._buffer) if end < 0 else end + 1
        self._scanned = 0
        frames.append(Frame(bytes(self._buffer[start:end]).rstrip(b"\r\x00")))
        return end + 1

    def _end_of_skipped(self, start: int) -> int:
        end = self._buffer.find(_NEWLINE, start)
        self._skip_line = end < 0
        return len(self._buffer) if end < 0 else end + 1


class Line(NamedTuple):
    """A line and how many bytes of the stream are done with it, its newline included."""

    raw: bytes
    end: int
    error: str = ""


class LineSplitter:
    """Cuts a stream of bytes into lines and knows where each ends, so that reading can resume exactly there.

    Of a line longer than ``longest`` the beginning is kept and given, as oversized, when the line ends. The stream
    starts at byte ``offset``.
    """

    def __init__(self, longest: int, offset: int = 0) -> None:
        self._longest = longest
        self._kept = bytearray()  # of the line that has not ended yet
        self._dropped = 0  # bytes of it that were too many
        self.offset = offset  # where the line that has not ended yet starts

    def feed(self, data: bytes) -> list[Line]:
        """Take what was read next and give the lines that end in it; empty ones are left out."""
        pieces = data.split(b"\n")
        lines = [line for piece in pieces[:-1] if (line := self._end(piece, newline=1)).raw]
        self._keep(pieces[-1])
        return lines

    def close(self) -> list[Line]:
        """Give the last line if it has no newline, now that no more will come."""
        line = self._end(b"", newline=0)
        return [line] if line.raw else []

    @property
    def read(self) -> int:
        """Where the next byte to feed lies in the stream."""
        return self.offset + len(self._kept) + self._dropped

    def _keep(self, piece: bytes) -> None:
        room = max(0, self._longest - len(self._kept))
        self._kept += piece[:room]
        self._dropped += max(0, len(piece) - room)

    def _end(self, piece: bytes, *, newline: int) -> Line:
        self._keep(piece)
        self.offset += len(self._kept) + self._dropped + newline
        line = Line(bytes(self._kept).rstrip(b"\r"), self.offset, "oversized" if self._dropped else "")
        self._kept.clear()
        self._dropped = 0
        return line
