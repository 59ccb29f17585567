"""``secops config``: are the settings right, and what are they."""

from __future__ import annotations

import typer

from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, load_settings, people_errors

app = typer.Typer(help="检查和查看配置 / check and show the settings", no_args_is_help=True)


@app.command()
def check(state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """检查配置；有误时指出键和原因，退出码 2 / Check the settings; exit code 2 names the key and the reason."""
    from secops.wiring import load_alert_controls  # noqa: PLC0415 - showing the settings must not load every engine

    settings = load_settings(state, config)
    with people_errors():
        load_alert_controls(settings)
    emit({"ok": True, "state": settings.state}, as_json, f"配置正确 / settings are right: {settings.state}")


@app.command()
def show(state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """显示全部生效的配置 / Show every setting in effect."""
    settings = load_settings(state, config)
    data = settings.model_dump(mode="json")
    if "@" in settings.database_url:  # a database password must not end up in a screenshot
        data["database_url"] = "***@" + settings.database_url.rsplit("@", 1)[1]
    emit(data, as_json, lambda: "\n".join(_lines(data, "")))


def _lines(data: dict[str, object], prefix: str) -> list[str]:
    found = []
    for key, value in data.items():
        if isinstance(value, dict) and value:
            found.extend(_lines(value, f"{prefix}{key}."))
        else:
            found.append(f"{prefix}{key} = {value!r}")
    return found
