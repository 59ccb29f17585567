"""SHA-256 and SM3 (GB/T 32905-2016) of the same bytes in one pass.

SM3 comes from ``cryptography``, whose own OpenSSL has it on every platform; the interpreter's OpenSSL may lack it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.hazmat.primitives import hashes

if TYPE_CHECKING:
    from pathlib import Path

CHUNK: Final = 2**20


class Digests(NamedTuple):
    """Both hashes of some bytes, hexadecimal, and how many bytes."""

    sha256: str
    sm3: str
    size: int


class Digester:
    """Takes bytes piece by piece."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._sm3 = hashes.Hash(hashes.SM3())
        self._size = 0

    def update(self, data: bytes) -> None:
        """Take more bytes."""
        self._sha256.update(data)
        self._sm3.update(data)
        self._size += len(data)

    def digests(self) -> Digests:
        """Both hashes of all that was taken; ends the digester."""
        return Digests(self._sha256.hexdigest(), self._sm3.finalize().hex(), self._size)


def of_file(path: Path) -> Digests:
    """Both hashes of a file."""
    digester = Digester()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digester.update(data)
    return digester.digests()
