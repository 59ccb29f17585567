"""The tenants' parsers as their folders hold them: read again when a file changed, and a broken file keeps its last good one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from secops.errors import UserError
from secops.normalise.custom import MOST_BYTES, CustomParser, read_parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MOST_FILES: Final = 20  # of one tenant
Print = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that cannot be used as it is now."""

    tenant: str
    file: str
    zh: str
    en: str
    kept: bool  # its last good version is still used


@dataclass(slots=True)
class CustomShelf:
    """``folder/<tenant>/<name>.yml``."""

    folder: Path
    parsers: Mapping[str, tuple[CustomParser, ...]] = field(default_factory=dict)
    broken: tuple[Broken, ...] = ()
    _good: dict[tuple[str, str], CustomParser] = field(default_factory=dict)
    _bad: dict[tuple[str, str], Broken] = field(default_factory=dict)
    _print: dict[tuple[str, str], Print] = field(default_factory=dict)

    def refresh(self) -> bool:
        """Look at the folder; say whether anything changed."""
        found = {(path.parent.name, path.name): path for path in self._files()}
        now = {key: seen for key, path in found.items() if (seen := _seen(path)) is not None}
        if now == self._print:
            return False
        for gone in self._good.keys() - now.keys():
            del self._good[gone]
        self._bad = {key: bad for key in now if (bad := self._read(key, found[key], now[key])) is not None}
        tenants: dict[str, list[CustomParser]] = {}
        for (tenant, _), parser in sorted(self._good.items()):
            tenants.setdefault(tenant, []).append(parser)
        self.parsers = {tenant: tuple(own) for tenant, own in tenants.items()}
        self.broken, self._print = tuple(self._bad.values()), now
        return True

    def _files(self) -> Iterator[Path]:
        for tenant in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            yield from sorted(tenant.glob("*.yml"))[:MOST_FILES]

    def _read(self, key: tuple[str, str], path: Path, seen: Print) -> Broken | None:
        if self._print.get(key) == seen:
            return self._bad.get(key)
        try:
            self._good[key] = read_parser(_bytes(path), path)
        except UserError as error:
            return Broken(key[0], path.name, error.zh, error.en, kept=key in self._good)
        return None


def _seen(path: Path) -> Print | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(
            "parser.file", f"{path.name}: 无法读取：{error}", f"{path.name}: cannot be read: {error}"
        ) from error
