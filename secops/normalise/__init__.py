"""Normalise: records of any format become events with ECS field names. Pure: no clock, no files, no network."""

from __future__ import annotations

from secops.normalise.dispatch import normalise

__all__ = ["normalise"]
