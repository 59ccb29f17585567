"""``secops serve``: the whole service under one supervisor, or one role of it."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from secops.cli.context import ConfigOption, StateOption, load_settings, people_errors

Role = Annotated[
    str | None, typer.Option("--role", help="只运行一个角色 / run one role only: web, ingest, index, detect, jobs")
]


def serve(role: Role = None, state: StateOption = None, config: ConfigOption = None) -> None:
    """启动服务；不带 --role 时由一个监管进程运行全部角色 / Start the service; without --role one supervisor runs all roles."""
    settings = load_settings(state, config)
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.log_level.upper(),
        format=f"%(asctime)s {role or 'serve'} %(levelname)s %(name)s %(message)s",
    )
    for noisy in ("alembic", "uvicorn", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with people_errors():
        if role is not None:
            from secops.worker.roles import run_role  # noqa: PLC0415 - a role loads only what it runs

            run_role(role, settings)
            return
        from secops.worker.start import serve_all  # noqa: PLC0415 - likewise

        arguments = ["--state", str(settings.state)]
        if config is not None:
            arguments += ["--config", str(config)]
        serve_all(settings, arguments, _say)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
