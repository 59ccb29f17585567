"""What every command shares: the options, how results and errors are printed, how the service is opened."""

from __future__ import annotations

import getpass
import sys
import unicodedata
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import orjson
import typer

from identity import principal
from secops import settings as settings_module
from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from identity.principal import Principal
    from secops.settings import Settings
    from secops.wiring import Service

JsonOption = Annotated[bool, typer.Option("--json", help="机器可读的 JSON 输出 / JSON for programs")]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", help="状态目录，默认 ./var 或 $SECOPS_STATE / state folder, ./var or $SECOPS_STATE"),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", help="配置文件，默认状态目录中的 secops.toml / settings file, secops.toml in the state folder"
    ),
]

SHANGHAI = ZoneInfo("Asia/Shanghai")
OK, NO, WRONG = 0, 1, 2  # exit codes: it holds, it does not hold, the request itself was wrong


def emit(data: Any, as_json: bool, human: str | Callable[[], str]) -> None:  # noqa: ANN401 - JSON data; a flag handed through
    """Print ``data`` as JSON, or its form for people."""
    if as_json:
        sys.stdout.write(
            orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z, default=_plain).decode() + "\n"
        )
    else:
        sys.stdout.write(harmless((human if isinstance(human, str) else human()).rstrip("\n")) + "\n")
    sys.stdout.flush()


def harmless(text: str) -> str:
    """Escape what would steer a terminal: log lines and names come from strangers, and are printed here."""
    return "".join(char if char.isprintable() or char in "\n\t\u3000" else ascii(char)[1:-1] for char in text)


def fail(error: Exception, code: int = WRONG) -> NoReturn:
    """Say what is wrong, in both languages, and exit."""
    zh, en = getattr(error, "zh", ""), getattr(error, "en", str(error))
    sys.stderr.write(f"错误：{zh}\nerror: {en}\n" if zh else f"error: {en}\n")
    raise typer.Exit(code)


@contextmanager
def people_errors() -> Iterator[None]:
    """Turn errors for people (attributes ``code``, ``zh``, ``en``) into a message and exit code 2."""
    try:
        yield
    except Exception as error:
        if all(hasattr(error, name) for name in ("code", "zh", "en")):
            fail(error)
        raise


def operator() -> Principal:
    """Give the person at this machine: who can read the state folder can do everything anyway; audited as ``operator:NAME``."""
    return principal.operator(getpass.getuser())


def load_settings(state: Path | None, config: Path | None) -> Settings:
    """Read the settings or exit with what is wrong with them."""
    with people_errors():
        return settings_module.load(state, config)


@contextmanager
def open_from(state: Path | None = None, config: Path | None = None) -> Iterator[Service]:
    """Open the service over an existing state folder; errors for people end the command with exit code 2."""
    from secops import wiring  # noqa: PLC0415 - offline commands must not load every engine

    settings = load_settings(state, config)
    with people_errors():
        if not (settings.state / "secrets" / "box.key").exists():
            raise UserError(
                "state.missing",
                f"{settings.state} 中没有系统数据；请先运行 make run 或 secops serve，或用 --state 指定目录。",
                f"{settings.state} holds no state; start the service first (make run), or name the folder with --state.",
            )
        with wiring.opened(settings) as service:
            yield service


def local(moment: datetime | str) -> str:
    """Give a time (aware, or RFC 3339 text) in Asia/Shanghai for people."""
    value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return value.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def table(rows: list[list[str]], header: list[str]) -> str:
    """Lay out rows under a header; wide (Chinese) characters count as two columns."""
    widths = [max(_width(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]
    return "\n".join(lines)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever JSON does not know
    if isinstance(value, (set, frozenset, tuple)):
        return sorted(value) if isinstance(value, (set, frozenset)) else list(value)
    return str(value)
