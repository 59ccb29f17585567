"""The catalogue of purchased services, read strictly from rules/services/*.yaml.

A file holds ``response_tables`` (named, shared by services) or ``services``, or both. Tables are data because they differ
from contract to contract; a service names one. A path given later may define a service or table anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from secops.errors import UserError
from secops.ticket.targets import PRIORITIES, Amount, Hours, Response, ResponseTable, amount
from secops.yamlfile import read, yaml_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from secops.yamlfile import Node

CODE: Final = "services.file"


class ServiceClass(StrEnum):
    """The plan's four classes of operation services, and the service desk."""

    NETWORK = "network"  # 网络基础设施
    CLOUD = "cloud"  # 政务云资源
    SECURITY = "security"  # 网络安全管理
    APPLICATION = "application"  # 业务应用系统维护
    DESK = "desk"  # 服务台

    @property
    def zh(self) -> str:
        """Its name in the plan."""
        return _CLASS_ZH[self]


_CLASS_ZH: Final = {
    ServiceClass.NETWORK: "网络基础设施",
    ServiceClass.CLOUD: "政务云资源",
    ServiceClass.SECURITY: "网络安全管理",
    ServiceClass.APPLICATION: "业务应用系统维护",
    ServiceClass.DESK: "服务台",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How the service is measured, from which data, and what a shortfall costs; a deduction is a proposal."""

    metric_zh: str
    metric_en: str
    target: str
    source: str  # where the figure comes from
    deduction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry:
    """One purchasable service."""

    id: str
    zh: str
    en: str
    kind: ServiceClass
    unit_zh: str
    unit_en: str
    price_basis: str
    quality: tuple[Quality, ...]
    response: ResponseTable
    provider: str = ""  # organisation that works its tickets; empty: nobody yet
    source: str = ""  # file


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every service by id, in the order of the files."""

    services: Mapping[str, ServiceEntry]

    def get(self, service_id: str) -> ServiceEntry:
        """Give a service.

        Raises:
            UserError: ``service.unknown``.
        """
        entry = self.services.get(service_id)
        if entry is None:
            names = ", ".join(self.services)
            shown = service_id[:60]
            raise UserError(
                "service.unknown",
                f"服务目录中没有“{shown}”，可用的有：{names}",
                f"the catalogue has no service {shown!r}; there are: {names}",
            )
        return entry


def load_catalogue(paths: Sequence[Path]) -> Catalogue:
    """Read files and folders of services.

    Raises:
        UserError: ``services.file``: the text names file, line and reason; nothing is half loaded.
    """
    roots = [
        (index, read(file, CODE).fields((), ("response_tables", "services"))) for index, file in yaml_files(paths, CODE)
    ]
    tables = _named(
        (index, root["response_tables"].fields(optional=None)) for index, root in roots if "response_tables" in root
    )
    read_tables = {name: _table(node) for name, node in tables.items()}
    entries = _named((index, root["services"].fields(optional=None)) for index, root in roots if "services" in root)
    if not entries:
        raise UserError(CODE, "没有找到任何服务", "there is no service in the catalogue")
    return Catalogue({name: _entry(name, node, read_tables) for name, node in entries.items()})


def _named(parts: Iterable[tuple[int, Mapping[str, Node]]]) -> dict[str, Node]:
    """Join mappings; a name may come again only from a later path."""
    found: dict[str, tuple[int, Node]] = {}
    for index, part in parts:
        for name, node in part.items():
            if name in found and found[name][0] == index:
                other = found[name][1]
                node.fail(f"“{name}”已在 {other.file} 中定义", f"{name!r} is defined in {other.file} already")
            found[name] = (index, node)
    return {name: node for name, (_, node) in found.items()}


def _table(node: Node) -> ResponseTable:
    fields = node.fields(("longest_pause", *map(str, PRIORITIES)))
    longest = _amount(fields["longest_pause"])
    if longest.working_days:
        fields["longest_pause"].fail("最长挂起时间须用 h 或 min", "the longest pause is given in h or min")
    return ResponseTable(
        responses={priority: _response(fields[str(priority)]) for priority in PRIORITIES}, longest_pause=longest.time
    )


def _response(node: Node) -> Response:
    fields = node.fields(("hours", "answer", "restore"), ("on_site", "update"))
    hours = fields.pop("hours").choice(Hours)
    amounts = {name: _amount(value) for name, value in fields.items()}
    if hours is Hours.WALL:
        node.fail("合同时限只能是 always 或 business", "a contract's hours are always or business")
    for name, value in amounts.items():
        if value.working_days and hours is Hours.ALWAYS:
            fields[name].fail("7x24 时限不能用工作日计", "a 7x24 promise cannot be counted in working days")
    return Response(
        hours=hours,
        answer=amounts["answer"],
        restore=amounts["restore"],
        on_site=amounts.get("on_site"),
        update=amounts.get("update"),
    )


def _amount(node: Node) -> Amount:
    try:
        return amount(node.text())
    except ValueError as error:
        node.fail(f"时长应写作 15 min、4 h 或 3 working days：{node.text()}", str(error))


def _entry(service_id: str, node: Node, tables: Mapping[str, ResponseTable]) -> ServiceEntry:
    names = ("zh", "en", "class", "unit_zh", "unit_en", "price_basis", "quality", "response")
    fields = node.fields(names, ("provider",))
    table = fields["response"].text()
    if table not in tables:
        known = ", ".join(tables)
        fields["response"].fail(
            f"没有响应时限表“{table}”，可用的有：{known}", f"no response table {table!r}; there are: {known}"
        )
    return ServiceEntry(
        id=service_id,
        zh=fields["zh"].text(),
        en=fields["en"].text(),
        kind=fields["class"].choice(ServiceClass),
        unit_zh=fields["unit_zh"].text(),
        unit_en=fields["unit_en"].text(),
        price_basis=fields["price_basis"].text(),
        quality=tuple(_quality(item) for item in fields["quality"].items()),
        response=tables[table],
        provider=fields["provider"].text() if "provider" in fields else "",
        source=str(node.file),
    )


def _quality(node: Node) -> Quality:
    fields = node.fields(("metric_zh", "metric_en", "target", "source", "deduction"))
    return Quality(**{name: value.text() for name, value in fields.items()})
