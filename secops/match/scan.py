"""Finds which of many literals or regular expressions stand in a text, in one pass.

Every scanner may report too much, never too little: what it reports is a candidate that the rule's own expression
confirms. So the engines need not agree on details of regular expressions for the hits to be identical.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections import Counter, defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakValueDictionary

from secops.match.text import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FEW: Final = 4  # up to so many literals are looked for one after the other
GRAM: Final = 4

_FORMAT: Final = b"1"  # raise when the meaning of a stored database changes


class Scanner(Protocol):
    """Reports the positions (in the list it was made of) of what stands in a text."""

    def scan(self, text: str) -> Sequence[int]:
        """Positions, in any order."""
        ...


class FewLiterals:
    """Substring searches one by one."""

    def __init__(self, literals: Sequence[str]) -> None:
        self._literals = tuple(enumerate(literals))

    def scan(self, text: str) -> Sequence[int]:
        """See Scanner."""
        folded = fold(text)
        return [position for position, literal in self._literals if literal in folded]


class Vector:
    """A Hyperscan (Vectorscan) database."""

    def __init__(self, database: Any, hard: tuple[int, ...] = (), *, folds: bool = False) -> None:  # noqa: ANN401 - hyperscan has no types
        self._scan = database.scan if database is not None else None
        self._folds = folds  # it takes the case of ASCII letters alone for nothing
        self.hard = hard  # positions that it does not look for

    def scan(self, text: str) -> Sequence[int]:
        """See Scanner."""
        found: list[int] = []
        if self._scan is None:
            return found
        add = found.append

        def report(position: int, _start: int, _end: int, _flags: int, _context: object) -> None:
            add(position)

        if self._folds and not text.isascii():
            text = fold(text)
        self._scan(text.encode("utf-8", "replace"), report)
        return found


class Grams:
    """Looks literals up by four of their characters: the fallback where there is no Hyperscan.

    Not RE2's own set matcher, because that gives no match, instead of an error, when its automaton outgrows its memory.
    """

    def __init__(self, literals: Sequence[str]) -> None:
        self._short = [(at, literal) for at, literal in enumerate(literals) if len(literal) < GRAM]
        counts = Counter(gram for literal in literals for gram in set(_grams(literal)))
        self._by_gram: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for at, literal in enumerate(literals):
            if len(literal) >= GRAM:
                rarest = min(_grams(literal), key=lambda gram: counts[gram])
                self._by_gram[rarest].append((at, literal))
        self._keys = frozenset(self._by_gram)

    def scan(self, text: str) -> Sequence[int]:
        """See Scanner."""
        text = fold(text)
        found = [at for at, literal in self._short if literal in text]
        for gram in self._keys.intersection(_grams(text)):
            found += [at for at, literal in self._by_gram[gram] if literal in text]
        return found


def _grams(text: str) -> Iterator[str]:
    return (text[at : at + GRAM] for at in range(len(text) - GRAM + 1))


class Databases:
    """Makes scanners; compiled Hyperscan databases are kept in a folder, named by what they were made of."""

    def __init__(self, directory: Path | None = None, *, vector: bool = True) -> None:
        self._directory = directory
        self._module = _hyperscan() if vector else None
        self._made: WeakValueDictionary[object, Vector] = WeakValueDictionary()  # scanners in use, for who asks again

    def literals(self, literals: tuple[str, ...]) -> Scanner:
        """A scanner of substrings: literals are folded, texts need not be."""
        if len(literals) <= FEW:
            return FewLiterals(literals)
        if self._module is None:
            return Grams(literals)
        known = self._made.get(literals)
        if known is None:
            expressions = [_escape(literal) for literal in literals]
            flags = [self._hyperscan.HS_FLAG_SINGLEMATCH | self._hyperscan.HS_FLAG_CASELESS] * len(expressions)
            known = self._made[literals] = Vector(self._database(expressions, flags), folds=True)
        return known

    def regexes(self, regexes: tuple[tuple[str, str], ...]) -> tuple[Scanner, tuple[int, ...]]:
        """A scanner of (pattern, flags), and the positions it cannot look for, which are always candidates."""
        if self._module is None:
            return FewLiterals(()), tuple(range(len(regexes)))
        known = self._made.get(regexes)
        if known is None:
            known = self._made[regexes] = self._scanner(regexes)
        return known, known.hard

    def _scanner(self, regexes: Sequence[tuple[str, str]]) -> Vector:
        """A scanner of what can be compiled; when all together cannot, each is tried by itself."""
        flags = [self._flags(letters) for _, letters in regexes]
        encoded = [pattern.encode("utf-8", "replace") for pattern, _ in regexes]
        try:
            return Vector(self._database(encoded, flags))
        except self._hyperscan.HyperscanError:
            hard = tuple(at for at in range(len(encoded)) if not self._compiles(encoded[at], flags[at]))
        kept = [at for at in range(len(encoded)) if at not in hard]
        if not kept:
            return Vector(None, hard)
        return Vector(self._database([encoded[at] for at in kept], [flags[at] for at in kept], kept), hard)

    @property
    def _hyperscan(self) -> Any:  # noqa: ANN401 - a module without types
        return self._module

    def _flags(self, letters: str) -> int:
        hyperscan = self._hyperscan
        chosen = hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_UTF8
        for letter, name in (("i", "CASELESS"), ("m", "MULTILINE"), ("s", "DOTALL")):
            if letter in letters:
                chosen |= getattr(hyperscan, f"HS_FLAG_{name}")
        return int(chosen)

    def _compiles(self, expression: bytes, flags: int) -> bool:
        try:
            self._compile([expression], [flags], [0])
        except self._hyperscan.HyperscanError:
            return False
        return True

    def _compile(self, expressions: list[bytes], flags: list[int], ids: list[int]) -> Any:  # noqa: ANN401 - see Vector
        database = self._hyperscan.Database(mode=self._hyperscan.HS_MODE_BLOCK)
        database.compile(expressions=expressions, ids=ids, flags=flags)
        return database

    def _database(self, expressions: list[bytes], flags: list[int], ids: list[int] | None = None) -> Any:  # noqa: ANN401 - see Vector
        numbers = ids or list(range(len(expressions)))
        stored = self._stored(expressions, flags, numbers)
        if stored is not None and is_ours(stored) and (loaded := self._load(stored)) is not None:
            return loaded
        database = self._compile(expressions, flags, numbers)
        if stored is not None:
            write_whole(stored, self._hyperscan.dumpb(database))
        return database

    def _load(self, stored: Path) -> Any:  # noqa: ANN401 - see Vector
        """A stored database; None when another version or processor made it."""
        try:
            database = self._hyperscan.loadb(stored.read_bytes(), mode=self._hyperscan.HS_MODE_BLOCK)
            database.scratch = self._hyperscan.Scratch(database)
        except self._hyperscan.HyperscanError:
            return None
        return database

    def _stored(self, expressions: list[bytes], flags: list[int], ids: list[int]) -> Path | None:
        if self._directory is None:
            return None
        digest = hashlib.sha256(_FORMAT + self._hyperscan.__version__.encode())
        for expression, flag, number in zip(expressions, flags, ids, strict=True):
            digest.update(b"%d:%d:%d:%s" % (number, flag, len(expression), expression))
        return self._directory / f"{digest.hexdigest()}.hs"


def _hyperscan() -> Any:  # noqa: ANN401 - see Vector
    try:
        return importlib.import_module("hyperscan")
    except ImportError:
        return None


_ESCAPES: Final = [chr(byte) if byte < 0x80 and chr(byte).isalnum() else f"\\x{byte:02x}" for byte in range(256)]  # noqa: PLR2004 - ASCII


def _escape(literal: str) -> bytes:
    return "".join([_ESCAPES[byte] for byte in literal.encode("utf-8", "replace")]).encode()


def is_ours(path: Path) -> bool:
    """Whether a stored file was written by this user: what another could write is not read, let alone run."""
    try:
        return path.stat().st_uid == os.geteuid()
    except OSError:
        return False


def write_whole(path: Path, data: bytes) -> None:
    """Store whole or not at all; another process may be writing the same. A cache that cannot be written is no loss."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
