"""Strict reading of a YAML file: every complaint names file, line and reason, and nothing unknown is passed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

import yaml

from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from enum import StrEnum
    from pathlib import Path
    from typing import TypeVar

    E = TypeVar("E", bound=StrEnum)

MOST_BYTES: Final = 4_000_000


def yaml_files(paths: Sequence[Path], code: str) -> Iterator[tuple[int, Path]]:
    """Give every YAML file of the files and folders, sorted by name within a folder, with the index of its path.

    Raises:
        UserError: ``code``: a path does not exist.
    """
    for index, path in enumerate(paths):
        if not path.exists():
            raise UserError(code, f"{path} 不存在", f"{path} does not exist")
        found = sorted((*path.rglob("*.yaml"), *path.rglob("*.yml"))) if path.is_dir() else [path]
        yield from ((index, file) for file in found)


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a file, with its place."""

    raw: yaml.Node
    file: Path
    code: str  # of the errors it raises

    @property
    def line(self) -> int:
        """Give the line, counted from 1."""
        return int(self.raw.start_mark.line) + 1

    def fail(self, zh: str, en: str) -> NoReturn:
        """Refuse the value.

        Raises:
            UserError: always.
        """
        raise UserError(self.code, f"{self.file}:{self.line}: {zh}", f"{self.file}:{self.line}: {en}")

    def fields(self, required: Sequence[str] = (), optional: Sequence[str] | None = ()) -> dict[str, Node]:
        """Give a mapping's values; ``optional`` None allows any key."""
        if not isinstance(self.raw, yaml.MappingNode):
            self.fail("此处应为键值映射", "a mapping is expected here")
        found: dict[str, Node] = {}
        for key, value in self.raw.value:
            name = Node(key, self.file, self.code)
            text = name.text()
            if text in found:
                name.fail(f"“{text}”重复", f"{text!r} is given twice")
            if optional is not None and text not in required and text not in optional:
                known = ", ".join((*required, *optional))
                name.fail(f"不认识“{text}”，可用的有：{known}", f"{text!r} is not known here; there are: {known}")
            found[text] = Node(value, self.file, self.code)
        for name_ in required:
            if name_ not in found:
                self.fail(f"缺少“{name_}”", f"{name_!r} is missing")
        return found

    def items(self) -> list[Node]:
        """Give a list's values."""
        if not isinstance(self.raw, yaml.SequenceNode):
            self.fail("此处应为列表", "a list is expected here")
        return [Node(value, self.file, self.code) for value in self.raw.value]

    def text(self) -> str:
        """Give a scalar as it is written; not empty."""
        if not isinstance(self.raw, yaml.ScalarNode) or not str(self.raw.value).strip():
            self.fail("此处应为文字", "a text is expected here")
        return str(self.raw.value).strip()

    def texts(self) -> tuple[str, ...]:
        """Give a list of texts; a single one may stand alone."""
        if isinstance(self.raw, yaml.ScalarNode):
            return (self.text(),)
        return tuple(item.text() for item in self.items())

    def whole(self) -> int:
        """Give a whole number that is not negative."""
        text = self.text()
        if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 - nobody means a billion
            self.fail(f"“{text}”不是非负整数", f"{text!r} is not a whole number")
        return int(text)

    def choice(self, choices: type[E]) -> E:
        """Give a member of an enumeration."""
        text = self.text()
        if text not in [str(member) for member in choices]:
            known = ", ".join(choices)
            self.fail(f"“{text}”不在可选值之中：{known}", f"{text!r} is not one of: {known}")
        return choices(text)


def read(file: Path, code: str) -> Node:
    """Read the one document of a file.

    Raises:
        UserError: ``code``: unreadable, too large, not UTF-8, not YAML, or empty.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(code, f"{file}: 无法读取：{error}", f"{file}: cannot be read: {error}") from error
    return parse(data, file, code)


def parse(data: bytes, file: Path, code: str) -> Node:
    """Read the one document of ``data``; errors call it ``file``.

    Raises:
        UserError: ``code``: too large, not UTF-8, not YAML, or empty.
    """
    if len(data) > MOST_BYTES:
        raise UserError(code, f"{file}: 文件过大", f"{file}: the file is larger than {MOST_BYTES} bytes")
    try:
        root = yaml.compose(data.decode("utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise UserError(code, f"{file}: 不是 UTF-8 文本", f"{file}: not UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else f"{file}"
        reason = getattr(error, "problem", None) or str(error)
        raise UserError(code, f"{place}: 不是有效的 YAML：{reason}", f"{place}: not valid YAML: {reason}") from error
    except RecursionError as error:
        raise UserError(code, f"{file}: 嵌套过深", f"{file}: nested too deeply") from error
    if root is None:
        raise UserError(code, f"{file}: 文件为空", f"{file}: the file is empty")
    return Node(root, file, code)
