"""The web role: console, API, single sign-on, certificate login, CA endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secops import serving
from secops.app import create_app

if TYPE_CHECKING:
    from secops.wiring import Service


def run(service: Service) -> None:
    """Serve until told to end."""
    serving.serve(create_app(service), service)
