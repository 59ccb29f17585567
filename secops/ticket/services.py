"""The catalogue of purchased services, read strictly from rules/services/*.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from secops.ticket.targets import ResponseTable


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


_CLASS_ZH = {
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
    """Every service by id."""

    services: Mapping[str, ServiceEntry]

    def get(self, service_id: str) -> ServiceEntry:
        """Give a service.

        Raises:
            UserError: ``service.unknown``.
        """
        raise NotImplementedError


def load_catalogue(paths: Sequence[Path]) -> Catalogue:
    """Read files and folders of services.

    Raises:
        UserError: ``services.file``: the text names file, line and reason; nothing is half loaded.
    """
    raise NotImplementedError
