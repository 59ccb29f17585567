"""``secops parser``: check parsers that an organisation wrote, and try one on lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, fail, harmless, load_settings
from secops.console.parser_trial import MOST_LINES, try_lines
from secops.errors import UserError
from secops.normalise.custom import read_parser
from secops.wiring import utcnow

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(help="自定义解析器 / parsers of one's own", no_args_is_help=True)


@app.command()
def check(
    paths: Annotated[list[Path] | None, typer.Argument(help="文件；不填则检查全部 / files; without them all")] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """检查解析器文件，有误则以 1 结束 / Check parser files; ends with 1 when one cannot be used."""
    files = paths or sorted((load_settings(state, config).state / "parsers").glob("*/*.yml"))
    rows = [{"file": str(path), "error": _error(path)} for path in files]
    emit(rows, as_json, lambda: "\n".join(harmless(f"{row['file']}: {row['error'] or 'OK'}") for row in rows))
    if any(row["error"] for row in rows):
        raise typer.Exit(1)


@app.command("test")
def try_one(
    file: Annotated[Path, typer.Argument(help="解析器文件 / the parser's file")],
    lines: Annotated[
        Path | None, typer.Argument(help="日志文件；不填则读标准输入 / lines; without it standard input")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """用日志试验解析器，每行一条 / Try a parser on lines; shows fields or why not."""
    try:
        parser = read_parser(_bytes(file), file)
        text = sys.stdin.read() if lines is None else _bytes(lines).decode("utf-8", "replace")
    except UserError as error:
        fail(error)
    tried = try_lines(parser, text.splitlines()[:MOST_LINES], utcnow())
    rows = [
        {"line": one.line, "fields": dict(one.fields) if not one.en else {}, "zh": one.zh, "en": one.en}
        for one in tried
    ]
    emit(rows, as_json, lambda: "\n\n".join(harmless(_shown(row)) for row in rows))


def _shown(row: Mapping[str, object]) -> str:
    fields = row["fields"]
    assert isinstance(fields, dict)
    said = [f"  {name}: {value}" for name, value in fields.items()] or [f"  {row['zh']} / {row['en']}"]
    return "\n".join([str(row["line"]), *said])


def _error(path: Path) -> str:
    try:
        read_parser(_bytes(path), path)
    except UserError as error:
        return f"{error.zh} / {error.en}"
    return ""


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError("parser.file", f"无法读取 {path}：{error}", f"{path} cannot be read: {error}") from error
