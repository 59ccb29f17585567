"""Takes a stranger's folder of rules in: a copy beside the service's own, kept in step file by file.

Links are not followed, and depth, number and size are bounded. A file is replaced whole, and an old one is deleted only
after every new one is there: whoever reads the copy meanwhile sees rules, old or new, and never an empty folder.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_FILES: Final = 100_000
MAX_DEPTH: Final = 32
MAX_FILE: Final = 1 << 20  # bytes of one file; the reader of rules takes no more either
MAX_ALL: Final = 1_000_000_000  # bytes of all files
SHOWN_SKIPPED: Final = 100
NOBODY: Final = "(import again)"  # no organisation's id; people see it where the rule's tenants stand
MARK: Final = ".import.json"  # hidden, so that it is no rule file; says which tenant the folder is for
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


@dataclass(slots=True)
class Copied:
    """What a copy did; names are relative to the folder."""

    files: int = 0
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)  # the first hundred: name, zh, en
    skipped_count: int = 0

    def skip(self, name: str, zh: str, en: str) -> None:
        """Count a file that was not taken, with the reason."""
        self.skipped_count += 1
        if len(self.skipped) < SHOWN_SKIPPED:
            self.skipped.append((name, zh, en))


def check_name(name: str) -> str:
    """Give the name of an import.

    Raises:
        UserError: it is none: lower-case letters, digits, dot, hyphen, underscore, at most 64.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise UserError(
            "import.name",
            f"导入名称 {name[:64]!r} 无效：用小写字母、数字、点、连字符和下划线，最多 64 个；用 --name 指定。",
            f"{name[:64]!r} is no name for an import: lower-case letters, digits, dot, hyphen, underscore, at most 64; give --name.",
        )
    return name


def import_of(file: str, imported: Path) -> str:
    """Give the name of the import under the folder ``imported`` that a rule file belongs to; "" for none."""
    start = f"{imported}/"
    return file[len(start) :].partition("/")[0] if file.startswith(start) else ""


def name_for(source: Path) -> str:
    """Give the name an import has when nobody gives one: the folder's, made to fit."""
    return re.sub(r"[^a-z0-9._-]+", "-", source.resolve().name.lower()).strip("-._")[:64]


def copy(source: Path, target: Path, *, tenant: str, progress: Callable[[int, int], None]) -> Copied:
    """Bring ``target`` in step with the rule files under ``source``; ``progress(done, of)`` is told as it goes.

    Raises:
        UserError: the source is no folder, holds no rule file, or holds more than the bounds allow; nothing was changed.
        OSError: the disk is full or cannot be written; what was copied stays, and the next call goes on.
    """
    copied = Copied()
    names = sorted(_names(source, copied))
    if not names:
        raise UserError(
            "import.empty",
            f"{source} 中没有规则文件（*.yml、*.yaml）。",
            f"{source} holds no rule files (*.yml, *.yaml).",
        )
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(target / MARK, orjson.dumps({"tenant": tenant}))
    old = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file() and path.name != MARK}
    kept = set()
    for number, name in enumerate(names, 1):
        if _take(source / name, target / name, name, copied):
            kept.add(name)
        if number % 50 == 0 or number == len(names):
            progress(number, len(names))
    copied.removed = sorted(old - kept)
    for name in copied.removed:
        (target / name).unlink(missing_ok=True)
    copied.files = len(kept)
    return copied


def tenant_of(folder: Path) -> str:
    """Give the tenant an imported folder is for; "" for all, or when nothing is said.

    A mark that is damaged is no word for everybody: such a folder's rules run for ``NOBODY`` until it is imported anew.
    """
    try:
        said = orjson.loads((folder / MARK).read_bytes())
        return str(said["tenant"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        return NOBODY


def _take(source: Path, target: Path, name: str, copied: Copied) -> bool:
    try:
        content = _read(source)
    except OSError as error:
        why = error.strerror or type(error).__name__
        copied.skip(name, f"无法读取：{why}", f"cannot be read: {why}")
        return False
    if len(content) > MAX_FILE:
        copied.skip(name, f"超过 {MAX_FILE} 字节", f"larger than {MAX_FILE} bytes")
        return False
    try:
        _store(target, content, name, copied)
    except (IsADirectoryError, NotADirectoryError, FileExistsError):
        copied.skip(
            name, "与先前导入的目录或文件同名", "is a folder where an earlier import had a file, or the reverse"
        )
        return False
    return True


def _store(target: Path, content: bytes, name: str, copied: Copied) -> None:
    before = target.read_bytes() if target.exists() else None
    if before == content:
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(target, content)
    (copied.added if before is None else copied.changed).append(name)


def _read(path: Path) -> bytes:
    """Read a plain file, never through a link put there since it was listed, and never endlessly."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.read(MAX_FILE + 1)


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name[:200]}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


def _names(source: Path, copied: Copied) -> Iterator[str]:
    """Rule files under ``source``, named relative to it."""
    if not source.is_dir():
        raise UserError("import.folder", f"{source} 不是目录。", f"{source} is not a folder.")
    found, size = 0, 0
    waiting: list[tuple[str, int]] = [("", 0)]
    while waiting:
        inside, depth = waiting.pop()
        for entry in _entries(source / inside, inside, copied):
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                copied.skip(name, "是符号链接，不跟随", "is a link, which is not followed")
            elif entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    waiting.append((name, depth + 1))
                else:
                    copied.skip(name, f"目录深于 {MAX_DEPTH} 层", f"deeper than {MAX_DEPTH} folders")
            elif entry.name.endswith((".yml", ".yaml")) and _plain(entry, name, copied):
                found, size = found + 1, size + min(entry.stat(follow_symlinks=False).st_size, MAX_FILE)
                _bound(source, found, size)
                yield name


def _entries(folder: Path, name: str, copied: Copied) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        why = error.strerror or type(error).__name__
        copied.skip(name, f"目录无法读取：{why}", f"the folder cannot be read: {why}")
        return []


def _plain(entry: os.DirEntry[str], name: str, copied: Copied) -> bool:
    if not entry.is_file(follow_symlinks=False):
        copied.skip(name, "不是普通文件", "is no plain file")
    elif not name.isprintable():
        copied.skip(ascii(name), "文件名含不可显示的字符", "its name holds characters that cannot be shown")
    else:
        return True
    return False


def _bound(source: Path, files: int, size: int) -> None:
    if files > MAX_FILES or size > MAX_ALL:
        raise UserError(
            "import.large",
            f"{source} 超过 {MAX_FILES} 个规则文件或 {MAX_ALL // 10**6} MB；请分成几个目录导入。",
            f"{source} holds more than {MAX_FILES} rule files or {MAX_ALL // 10**6} MB; import it in parts.",
        )
