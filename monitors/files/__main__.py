"""The process that reads one file: ``python -m monitors.files read|peek`` with a request as JSON on standard input.

The request: ``path``, ``name``, ``kind``, ``columns``, ``header``, ``delimiter``, ``most``, ``ratio``, ``memory`` (bytes), ``seconds`` (of CPU).
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import orjson

from monitors.files import frames, reading
from monitors.files.packed import Bounds
from monitors.files.piece import FileRefused
from monitors.files.table import Layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitors.files.reading import Part

_FILES: Final = 64
_CANNOT_BE_READ: Final = 1


def main() -> int:
    """Answer one request; the exit code says whether the file could be read."""
    request = orjson.loads(sys.stdin.buffer.read())
    _confine(request)
    layout = Layout(request["columns"], request["header"], request["delimiter"])
    bounds = Bounds(request["most"], request["ratio"])
    arguments = (Path(request["path"]), request["kind"], layout, bounds, request["name"])
    out = sys.stdout.buffer
    try:
        if sys.argv[1] == "peek":
            out.write(frames.frame(frames.END, orjson.dumps(reading.peek(*arguments))))
        else:
            for part in reading.read(*arguments):
                _tell(out, part, request["name"])
            out.write(frames.frame(frames.END))
    except FileRefused as refused:
        _refuse(out, refused.reason, refused.zh, str(refused))
        return _CANNOT_BE_READ
    except MemoryError:
        _refuse(out, "memory", "读取该文件需要的内存超出上限", "reading it takes more memory than it may")
        return _CANNOT_BE_READ
    finally:
        out.flush()
    return 0


def _confine(request: Mapping[str, Any]) -> None:
    """Let a file that upsets its reader upset nobody else: bounded memory and time, nothing written, the last to be served."""
    resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)


def _tell(out: IO[bytes], part: Part, name: str) -> None:
    piece = part.piece
    file = f"{name}/{part.member}" if part.member else name
    if not piece.error:
        about = orjson.dumps({"file": file, "at": piece.at})
        original = b',"original":' + orjson.dumps(piece.original.decode()) if piece.original else b""
        out.write(frames.frame(frames.GOOD, about[:-1] + original + b',"document":' + piece.document + b"}"))
        return
    about = orjson.dumps(
        {"file": file, "at": piece.at, "error": piece.error, "note": piece.note, "count": piece.stands_for}
    )
    if piece.original:
        out.write(frames.frame(frames.KEPT, about + b"\n" + piece.original))
    else:
        out.write(frames.frame(frames.LOST, about))


def _refuse(out: IO[bytes], reason: str, zh: str, en: str) -> None:
    out.write(frames.frame(frames.REFUSED, orjson.dumps({"reason": reason, "zh": zh, "en": en})))


if __name__ == "__main__":
    sys.exit(main())
