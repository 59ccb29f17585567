from __future__ import annotations

import os
import stat
import tomllib
from typing import TYPE_CHECKING, Any, Final

from monitors.pull_trouble import Trouble

if TYPE_CHECKING:
    from pathlib import Path

_MOST: Final = 16_384  # bytes of the file
_LONGEST: Final = 8192  # characters of a value: security tokens are long


def read_key(path: Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, str]:
    """Read ``name = "value"`` lines (TOML) from a file that nobody else may read.

    Raises:
        Trouble: of kind ``key``: the file is missing, others may read it, or it does not hold what is ``needed``; its
            content is never told.
    """
    try:
        table = tomllib.loads(_private(path).decode("utf-8"))
    except OSError as error:
        raise Trouble("key", f"{path}: {error.strerror or error}") from None
    except ValueError:  # also tomllib's; both quote the content
        raise Trouble("key", f'{path}: 不是 TOML（每行 名称 = "值"） / not TOML (lines of name = "value")') from None
    strange = sorted(set(table) - {*needed, *optional})
    missing = [name for name in needed if not table.get(name)]
    wrong = [name for name, value in table.items() if not _plain(value)]
    for names, zh, en in ((missing, "缺少", "lacks"), (strange, "多余", "has unknown"), (wrong, "无效", "has wrong")):
        if names:
            shown = ", ".join(name[:40] for name in names[:5])
            raise Trouble("key", f"{path}: {zh} {shown} / {en} {shown}")
    return {name: str(value) for name, value in table.items()}


def _private(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise Trouble("key", f"{path}: 不是普通文件 / not a plain file")
        if stat.S_IMODE(state.st_mode) & 0o077:
            raise Trouble(
                "key", f"{path}: 他人可读，请执行 chmod 600 {path} / others may read it, run chmod 600 {path}"
            )
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise Trouble("key", f"{path}: 超过 {_MOST} 字节 / longer than {_MOST} bytes")
    return data


def _plain(value: Any) -> bool:  # noqa: ANN401 - TOML holds anything
    """Whether it may stand in a header: one line of visible ASCII."""
    return isinstance(value, str) and len(value) <= _LONGEST and value.isascii() and value.isprintable()
