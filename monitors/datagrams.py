"""Many datagrams in one system call (Linux: recvmmsg, sendmmsg), which Python has no function for.

At 100,000 datagrams a second a call for each is most of the work, and each call that gives away the interpreter's lock waits for
a thread that has better things to do: so these calls keep it. They never wait, so they keep it for some 100 microseconds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final

from monitors.stream import peer_name

if TYPE_CHECKING:
    from collections.abc import Sequence

SO_MEMINFO: Final = 55  # Linux 4.12: nine numbers about a socket, the last how many datagrams were dropped
_MEMINFO: Final = struct.Struct("=9I")
_ADDRESS: Final = 28  # bytes of a sockaddr_in6, the longer one
_NAMES: Final = 65_536  # peers whose written form is kept


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """The system's ``mmsghdr``: a ``msghdr`` of 56 bytes, and the length received."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int64),  # an int, and four bytes of padding
        ("length", ctypes.c_uint),
    )


class Datagrams:
    """Takes what waits in a non-blocking UDP socket, at most ``many`` datagrams of ``longest`` bytes at a time."""

    def __init__(self, source: socket.socket, *, many: int, longest: int) -> None:
        self._source, self._many, self._longest = source, many, longest
        self._names: dict[bytes, str] = {}
        self._buffer = ctypes.create_string_buffer(many * longest)
        self._addresses = ctypes.create_string_buffer(many * _ADDRESS)
        texts, names = ctypes.addressof(self._buffer), ctypes.addressof(self._addresses)
        self._vectors, self._messages = _arrays([(texts + n * longest, longest) for n in range(many)])
        for n, message in enumerate(self._messages):
            message.name, message.name_length = names + n * _ADDRESS, _ADDRESS
        self._text, self._raw_names = memoryview(self._buffer), memoryview(self._addresses)
        every = ctypes.sizeof(_Message) // 4
        self._lengths = memoryview(self._messages).cast("B").cast("I")[_Message.length.offset // 4 :: every]
        self._call = ctypes.PyDLL(None, use_errno=True).recvmmsg

    def take(self) -> list[tuple[bytes, str]]:
        """Give the datagrams that wait, each with its peer as ``address:port``; nothing when none waits.

        Raises:
            OSError: an ICMP error of an earlier answer; the socket lives on.
        """
        count = self._call(self._source.fileno(), self._messages, self._many, 0, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in {errno.EAGAIN, errno.EINTR}:
                return []
            raise OSError(number, os.strerror(number))
        text, longest = self._text, self._longest
        return [
            (text[start : start + length].tobytes(), self._name(n * _ADDRESS))
            for n, (start, length) in enumerate(
                zip(range(0, count * longest, longest), self._lengths[:count].tolist(), strict=True)
            )
        ]

    def dropped(self) -> int:
        """How many datagrams the kernel has dropped at this socket so far, modulo 2**32."""
        return int(_MEMINFO.unpack(self._source.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size))[-1])

    def _name(self, start: int) -> str:
        raw = self._raw_names[start : start + _ADDRESS].tobytes()
        name = self._names.get(raw)
        if name is None:
            if len(self._names) >= _NAMES:
                self._names.clear()
            name = self._names[raw] = _written(raw)
        return name


class Burst:
    """Sends the same texts again and again through a connected UDP socket, as fast as a process can."""

    def __init__(self, target: socket.socket, texts: Sequence[bytes]) -> None:
        self._target, self._count = target, len(texts)
        self._kept = [ctypes.create_string_buffer(text, len(text)) for text in texts]
        self._vectors, self._messages = _arrays([(ctypes.addressof(one), len(one)) for one in self._kept])
        self._call = ctypes.CDLL(None, use_errno=True).sendmmsg

    def send(self, start: int, count: int) -> int:
        """Send up to ``count`` texts, beginning with number ``start`` (they begin anew after the last); give how many.

        Raises:
            OSError: nobody listens there.
        """
        first = start % self._count
        most = min(count, self._count - first)
        sent = int(self._call(self._target.fileno(), ctypes.byref(self._messages[first]), most, 0))
        if sent < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return sent


def _arrays(places: Sequence[tuple[int, int]]) -> tuple[ctypes.Array[_Vector], ctypes.Array[_Message]]:
    """Make a message of one vector for each (address, length)."""
    vectors, messages = (_Vector * len(places))(), (_Message * len(places))()
    for vector, message, (base, length) in zip(vectors, messages, places, strict=True):
        vector.base, vector.length = base, length
        message.vectors, message.vector_count = ctypes.addressof(vector), 1
    return vectors, messages


def _written(raw: bytes) -> str:
    """Read a ``sockaddr_in`` or ``sockaddr_in6``."""
    family, port = int.from_bytes(raw[:2], sys.byteorder), int.from_bytes(raw[2:4], "big")
    packed = raw[8:24] if family == socket.AF_INET6 else raw[4:8]
    return peer_name((socket.inet_ntop(family, packed), port))
