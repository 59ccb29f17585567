"""``secops store repair``: says what it would do, and does it with ``--yes``, while no role is running."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secops import audit
from secops.cli.bar import Bar
from secops.cli.context import NO, ConfigOption, JsonOption, StateOption, emit, open_from, operator
from secops.errors import UserError
from secops.settings import ROOT_TENANT
from secops.store import repair as repairing
from secops.store import sqlite
from secops.store.chain import FOLDER
from secops.store.check_index import check_index
from secops.store.keeper import keeping
from secops.store.writer import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secops.store.repair import Damage
    from secops.wiring import Service


def repair(
    yes: Annotated[bool, typer.Option("--yes", help="执行，不只是说明 / do it, not only say it")] = False,
    rebuild_index: Annotated[
        bool, typer.Option("--rebuild-index", help="无论如何重建索引 / build the index anew in any case")
    ] = False,
    renew_seals: Annotated[
        bool,
        typer.Option(
            "--renew-seals",
            help="封存链本身损坏且无备份时：旧链移至 damaged/，按现状重新封存 / when the chain of seals itself is damaged and no backup has it: put it aside and seal everything as it is now",
        ),
    ] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """修复日志与索引：保留一切可读事件，无法读取者以标记事件填补并逐段列明；须先停止服务。不加 --yes 只作说明，退出码 1 / Keep every event that can be read, fill holes with events that say so, name each; stop the service first. Without --yes it only says what it would do, exit code 1."""
    with open_from(state, config) as service:
        require_files(service)
        _refuse_running(service)
        with _held(service):
            with Bar("检查 / looking") as bar:
                found = repairing.look(service.log_dir, service.settings.log.partitions, bar)
            is_index_bad = rebuild_index or found.events > 0 or (not found and _is_index_bad(service))
            plan = _plan(service, found, index=is_index_bad, seals=renew_seals)
            aside: list[Path] = []
            if plan and yes:
                aside = _mend(service, found, index=is_index_bad, seals=renew_seals)
        if plan and yes:
            service.writable_log().close()  # opens it as the ingest role will, which also cuts a torn tail
    said = plan or ["无需修复 / nothing to repair"]
    if plan:
        said.append("已修复 / repaired" if yes else "以上未执行；加 --yes 执行 / nothing was done; add --yes to do it")
    said += [f"原件 / the damaged file: {path}" for path in aside]
    data = {"plan": plan, "done": bool(plan) and yes, "lost_events": found.events, "aside": [str(p) for p in aside]}
    emit(data | {"lost": [_facts(hole) for hole in found.holes]}, as_json, "\n".join(said))
    if plan and not yes:
        raise typer.Exit(NO)


def require_files(service: Service) -> None:
    """Refuse where the log is not the embedded one.

    Raises:
        UserError: ``store.engine``.
    """
    if service.settings.log.engine != "files":
        raise UserError(
            "store.engine",
            "事件日志在 Kafka 中（log.engine），此命令只适用于内嵌存储；见 docs/kafka.md",
            "the event log is in Kafka (log.engine), and this command is about the embedded one; see docs/kafka.md",
        )


def _refuse_running(service: Service) -> None:
    """Refuse while a role runs: readers too, because they have the old files open.

    Raises:
        UserError: ``store.running`` names the roles.
    """
    running = [f"{each.role} ({each.pid})" for each in service.status()["roles"] if each.alive]
    if running:
        raise UserError(
            "store.running",
            f"以下角色正在运行：{'、'.join(running)}；请先停止服务再修复",
            f"these roles are running: {', '.join(running)}; stop the service before repairing",
        )


@contextmanager
def _held(service: Service) -> Iterator[None]:
    """Nobody else writes, seals, expires or backs up meanwhile.

    Raises:
        LogBusy: somebody writes.
        KeeperBusy: somebody seals or backs up.
    """
    held = lock(service.log_dir)
    try:
        with keeping(service.log_dir):
            yield
    finally:
        os.close(held)


def _is_index_bad(service: Service) -> bool:
    if service.settings.index.engine != "sqlite":
        return False
    with Bar("索引 / index") as bar:
        return bool(check_index(service.index_dir, service.log, bar))


def _plan(service: Service, found: Damage, *, index: bool, seals: bool) -> list[str]:
    plan = [
        f"{hole.path} @ {hole.at}: 事件 {hole.first} 至 {hole.end - 1}（{hole.events:,} 条）无法读取，以标记事件填补 "
        f"/ {hole.events:,} events, {hole.first} to {hole.end - 1}, cannot be read: filled with events that say so"
        if hole.events
        else f"{hole.path} @ {hole.at}: 去除 {hole.size:,} 字节无事件的内容 / {hole.size:,} bytes without events are removed"
        for hole in found.holes
    ]
    if found.watermark:
        plan.append("水位文件损坏，按日志段重写 / the watermark is damaged: written anew from the segments")
    if found.checkpoint:
        plan.append(
            "检查点损坏，按副本与最新日志段重写 / the checkpoint is damaged: written anew from its copy and the newest segments"
        )
    if index:
        plan.append(
            f"{service.index_dir}: 清空，启动后由日志重建 / emptied; built anew from the log once the service runs"
        )
    if seals:
        plan.append(
            "封存链移至 damaged/，按现状重新封存 / the seals are put aside; every segment is sealed as it is now"
        )
    return plan


def _mend(service: Service, found: Damage, *, index: bool, seals: bool) -> list[Path]:
    now, folder = service.clock(), service.log_dir
    aside: list[Path] = []
    if found:
        try:
            with Bar("修复 / repairing") as bar:
                aside += repairing.mend(folder, found, tenant=ROOT_TENANT, now=now, progress=bar)
        except OSError as error:
            raise UserError(
                "store.repair",
                f"修复未完成：{error}；腾出空间后重新执行，已修复的部分保持有效",
                f"the repair was broken off: {error}; make room and run it again, what was repaired stays so",
            ) from error
    if seals:
        aside.append(folder / repairing.ASIDE / f"{FOLDER}.{now:%Y%m%dT%H%M%S}")
        service.keeper().renew(aside[-1])
    elif found.holes:
        _reseal(service, found)
    if index:
        sqlite.start_over(service.index_dir)
    _audit(service, found, index=index, seals=seals)
    return aside


def _reseal(service: Service, found: Damage) -> None:
    try:
        service.keeper().reseal(found.paths)
    except ValueError as error:
        raise UserError(
            "store.seals",
            f"日志已修复，但封存链无法读取：{error}；请从备份恢复 seals/，或加 --renew-seals 重新封存",
            f"the log is repaired, but the chain of seals cannot be read: {error}; restore seals/ from a backup, or add --renew-seals",
        ) from error


def _audit(service: Service, found: Damage, *, index: bool, seals: bool) -> None:
    lost = [_facts(hole) for hole in found.holes[:100]]
    with service.database.begin() as tx:
        audit.record(
            tx,
            at=service.clock(),
            actor=operator().username,
            action="store.repair",
            target="store:log",
            tenant=ROOT_TENANT,
            detail={"lost_events": found.events, "lost": lost, "holes": len(found.holes)}
            | {"watermark": found.watermark, "checkpoint": found.checkpoint, "index": index, "seals": seals},
        )


def _facts(hole: repairing.Hole) -> dict[str, Any]:
    return {"partition": hole.partition, "segment": hole.path.name, "at": hole.at, "bytes": hole.size} | {
        "first": hole.first,
        "end": hole.end,
    }
