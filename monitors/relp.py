"""RELP, the Reliable Event Logging Protocol, as its own specification (librelp, doc/relp.html) says: frames and answers.

A frame is ``TXNR SP COMMAND SP DATALEN [SP DATA] LF``. The receiver answers every frame with ``rsp`` under the same
transaction number, once the message is safe; a sender that heard no answer sends it again after a break.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

LONGEST_TXNR: Final = 9  # digits: 1 to 999,999,999
LONGEST_COMMAND: Final = 32
LONGEST_LENGTH: Final = 9  # digits of DATALEN
SOFTWARE: Final = "secops"
_LF: Final = 0x0A
_HEADER: Final = re.compile(rb"([0-9]{1,9}) ([0-9A-Za-z]{1,32}) ([0-9]{1,9}) ")


class RelpError(Exception):
    """The stream is not RELP (any more); nothing after this can be told apart, so the connection ends."""

    frames: tuple[Frame, ...] = ()  # what was complete before that


class Frame(NamedTuple):
    """One frame; ``data`` of an oversized one is its beginning, as far as it was kept."""

    number: bytes  # the transaction number as it was written
    command: bytes
    data: bytes
    oversized: bool = False


class RelpFramer:
    """Cuts a stream into frames; memory is bounded by ``longest`` and one ``feed``."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = b""
        self._skipping: tuple[Frame, int] | None = None  # an oversized frame and how much of it is still to come

    def feed(self, data: bytes) -> list[Frame]:
        """Take what arrived and give the frames that are complete with it.

        Raises:
            RelpError: what arrived is not RELP.
        """
        buffer = self._rest + data
        frames: list[Frame] = []
        try:
            position = self._whole(buffer, self._skip(buffer, frames), frames)
            while (after := self._frame(buffer, position, frames)) is not None:
                position = after
        except RelpError as error:
            error.frames = tuple(frames)
            raise
        self._rest = buffer[position:]
        return frames

    def _skip(self, buffer: bytes, frames: list[Frame]) -> int:
        """Pass over what is left of an oversized frame; give where the next begins."""
        if self._skipping is None:
            return 0
        frame, remaining = self._skipping
        if len(buffer) < remaining:
            self._skipping = frame, remaining - len(buffer)
            return len(buffer)
        self._skipping = None
        frames.append(frame)
        return _trailer(buffer, remaining - 1)

    def _whole(self, buffer: bytes, position: int, frames: list[Frame]) -> int:
        """Take the ordinary frames that lie whole in ``buffer``, quickly; give where something else begins."""
        header, size, longest = _HEADER.match, len(buffer), self._longest
        while head := header(buffer, position):
            start = head.end()
            length = int(head[3])
            stop = start + length
            if stop >= size or length > longest or buffer[stop] != _LF:
                break
            frames.append(Frame(head[1], head[2], buffer[start:stop]))
            position = stop + 1
        return position

    def _frame(self, buffer: bytes, start: int, frames: list[Frame]) -> int | None:
        """Take one frame from ``start``; give where the next begins, None when more must arrive first."""
        first = buffer.find(b" ", start, start + LONGEST_TXNR + 1)
        if first < 0:
            _more(buffer, start, LONGEST_TXNR)
            return None
        second = buffer.find(b" ", first + 1, first + LONGEST_COMMAND + 2)
        if second < 0:
            _more(buffer, first + 1, LONGEST_COMMAND)
            return None
        end = second + 1
        stop = min(len(buffer), end + LONGEST_LENGTH + 1)
        while end < stop and 0x30 <= buffer[end] <= 0x39:  # noqa: PLR2004 - ASCII digits
            end += 1
        if end == stop:
            _more(buffer, second + 1, LONGEST_LENGTH)
            return None
        number, command, digits = buffer[start:first], buffer[first + 1 : second], buffer[second + 1 : end]
        if not (number.isdigit() and command.isalnum() and digits):
            raise RelpError("not a RELP frame: TXNR SP COMMAND SP DATALEN is expected")
        length = int(digits)
        body = end if length == 0 and buffer[end] == _LF else end + 1  # "0" may be followed by LF at once
        frame, after = Frame(number, command, buffer[body : body + min(length, self._longest)]), body + length + 1
        if length > self._longest:
            frame = frame._replace(oversized=True)
            if after > len(buffer):
                self._skipping = frame, after - len(buffer)
                return len(buffer)
        elif after > len(buffer):
            return None
        frames.append(frame)
        return _trailer(buffer, after - 1)


def _more(buffer: bytes, start: int, longest: int) -> None:
    """Go on waiting for a part of the header, unless it is too long to be one."""
    if len(buffer) - start > longest:
        raise RelpError("not a RELP frame: a part of the header is too long")


def _trailer(buffer: bytes, at: int) -> int:
    if buffer[at] != _LF:
        raise RelpError("not a RELP frame: DATALEN does not lead to the trailing line feed")
    return at + 1


def answer(number: bytes, text: bytes) -> bytes:
    """The ``rsp`` frame to a transaction: ``200 OK`` or ``500 reason``, with what follows."""
    return b"%s rsp %d %s\n" % (number, len(text), text)


def opened(number: bytes) -> bytes:
    """The answer to ``open``: what this receiver offers."""
    return answer(number, b"200 OK\nrelp_version=0\nrelp_software=%s\ncommands=syslog" % SOFTWARE.encode())


SERVER_CLOSE: Final = b"0 serverclose 0\n"
