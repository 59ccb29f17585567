"""``secops evidence``: build a sealed pack of a case, verify one, write the one-file verifier."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from secops.cli.context import (
    ConfigOption,
    JsonOption,
    StateOption,
    emit,
    fail,
    load_settings,
    open_from,
    operator,
    people_errors,
)
from secops.errors import UserError
from secops.evidence import stamp, verify

if TYPE_CHECKING:
    from secops.settings import Settings

app = typer.Typer(help="证据包 / evidence packs", no_args_is_help=True)

RootOption = Annotated[
    list[str] | None,
    typer.Option("--root", help="受信任根证书的 SHA-256；默认本机 CA / trusted root's SHA-256; else this machine's CA"),
]


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", help="写入的 .zip 文件 / the .zip file to write")],
    alert: Annotated[int | None, typer.Option("--alert", help="告警编号 / alert number")] = None,
    ticket: Annotated[int | None, typer.Option("--ticket", help="工单编号 / ticket number")] = None,
    start: Annotated[
        str, typer.Option("--from", help="开始，ISO 8601，无时区则为北京时间 / start; Beijing time if it has no zone")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="结束 / end")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """生成一个案件的封签证据包 / Build the sealed pack of a case."""
    from secops import pipeline  # noqa: PLC0415 - verifying must not load every engine

    with open_from(state, config) as service:
        if out.exists():
            raise UserError(
                "evidence.exists",
                f"{out} 已存在，证据包不会被覆盖；请换一个文件名。",
                f"{out} exists and a pack is never overwritten; choose another name.",
            )
        try:
            pack = pipeline.build_pack(
                service,
                out=out,
                actor=operator().username,
                tenants=None,
                alert_id=alert,
                ticket_id=ticket,
                start=_instant(start),
                end=_instant(end),
            )
        except OSError as error:
            raise UserError(
                "evidence.out", f"无法写入 {out}：{error.strerror}", f"{out} cannot be written: {error.strerror}"
            ) from error
        root = service.authority.root_fingerprint()
    data = {
        "path": str(out),
        "manifest_sha256": pack.manifest_sha256,
        "exhibits": pack.files,
        "size": pack.size,
        "root": root,
    }
    emit(data, as_json, f"{out}\n清单 manifest SHA-256 {pack.manifest_sha256}\n根 root SHA-256 {root}")


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            "evidence.time",
            f"时间 {text[:40]!r} 应写成 2026-11-24T08:00:00 的形式",
            f"write the time {text[:40]!r} like 2026-11-24T08:00:00",
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo("Asia/Shanghai"))


@app.command("verify")
def verify_pack(
    pack: Annotated[Path, typer.Argument(help="证据包 / the pack")],
    root: RootOption = None,
    previous: Annotated[str | None, typer.Option("--previous", help="上一包的清单 SHA-256 / manifest before")] = None,
    manifest: Annotated[str | None, typer.Option("--manifest", help="应有的清单 SHA-256 / manifest expected")] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """验证证据包：0 成立，1 被改动，2 无法验证 / Verify a pack: 0 holds, 1 tampered, 2 cannot be verified."""
    roots = root or _local_roots(load_settings(state, config))
    report = verify.verify(str(pack), roots, previous=previous, name=manifest)
    if as_json:
        emit(verify.as_json(report, str(pack)), as_json, "")
    else:
        verify.show(report, str(pack))
        sys.stdout.flush()
    raise typer.Exit(report.code)


def _local_roots(settings: Settings) -> list[str]:
    """Give the fingerprint of this machine's own root, where there is one."""
    try:
        certificate = x509.load_pem_x509_certificate((settings.state / "ca" / "root.pem").read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        fail(error)
    return [certificate.fingerprint(hashes.SHA256()).hex()]


@app.command()
def verifier(
    out: Annotated[Path, typer.Option("--out", help="写入的文件 / file to write")],
    root: RootOption = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """导出单文件验证程序，已写入根证书指纹 / Write the one-file verifier with the root's fingerprint in it."""
    roots = root or _local_roots(load_settings(state, config))
    with people_errors():
        content = stamp.verifier([fingerprint.lower().replace(":", "") for fingerprint in roots])
        try:
            out.write_bytes(content)
        except OSError as error:
            raise UserError(
                "evidence.out", f"无法写入 {out}：{error.strerror}", f"{out} cannot be written: {error.strerror}"
            ) from error
    emit({"path": str(out), "roots": roots}, as_json, "\n".join([str(out), *(f"root SHA-256 {r}" for r in roots)]))
