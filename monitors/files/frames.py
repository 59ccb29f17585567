"""What the process that reads a file tells the one that asked: frames of a kind, a length and a body."""

from __future__ import annotations

import struct
from typing import Final

GOOD: Final = 0  # the body is a JSON object: file, at, original, document
KEPT: Final = 1  # no message, but kept: a line of JSON (file, at, error, note), then the bytes
LOST: Final = 2  # nothing is kept: JSON (file, at, error, note, count)
END: Final = 3  # the file was read to its end
REFUSED: Final = 4  # it could not be read on: JSON (reason, zh, en)
HEAD: Final = struct.Struct(">BI")
LONGEST: Final = 4 << 20  # bytes of a body


def frame(kind: int, body: bytes = b"") -> bytes:
    """A frame as it is written."""
    return HEAD.pack(kind, len(body)) + body
