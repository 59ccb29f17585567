"""Puts the asked-for command, or all of them for ``--help``, into one Typer application."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from dataclasses import dataclass
from typing import Annotated

import typer

HELP = (
    "政务云统一身份、安全监测、运维工单与可验证证据服务。\n\n"
    "Identity, detection, operations tickets and inspectable evidence for a city government cloud."
)


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lives; ``group`` commands have subcommands."""

    module: str
    attribute: str = "app"
    group: bool = True


COMMANDS = {
    "serve": Command("secops.cli.serve", "serve", group=False),
    "config": Command("secops.cli.config"),
    "rules": Command("secops.cli.rules"),
    "detect": Command("secops.cli.detect", "detect", group=False),
    "search": Command("secops.cli.search", "search", group=False),
    "alert": Command("secops.cli.alert"),
    "silence": Command("secops.cli.silence"),
    "maintenance": Command("secops.cli.maintenance"),
    "ticket": Command("secops.cli.ticket"),
    "person": Command("secops.cli.person"),
    "source": Command("secops.cli.source"),
    "upload": Command("secops.cli.upload", "upload", group=False),
    "parser": Command("secops.cli.parser"),
    "ca": Command("secops.cli.ca"),
    "evidence": Command("secops.cli.evidence"),
    "audit": Command("secops.cli.audit"),
    "backup": Command("secops.cli.backup", "backup", group=False),
    "restore": Command("secops.cli.backup", "restore", group=False),
    "store": Command("secops.cli.store"),
    "bench": Command("secops.cli.bench", "bench", group=False),
}


def build(only: str | None) -> typer.Typer:
    """Make the application with one command, or with all."""
    app = typer.Typer(
        name="secops", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    app.callback()(_root)
    for name, command in COMMANDS.items():
        if only is None or only == name:
            found = getattr(importlib.import_module(command.module), command.attribute)
            if command.group:
                app.add_typer(found, name=name)
            else:
                app.command(name)(found)
    return app


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"secops {importlib.metadata.version('secops')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="显示版本 / show the version")
    ] = False,
) -> None:
    """Keep subcommands even when only one is registered."""


def main() -> None:
    """Run the command line."""
    os.umask(0o077)  # everything the service writes is its owner's alone, whatever the shell was set to
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    build(asked if asked in COMMANDS else None)(prog_name="secops")
