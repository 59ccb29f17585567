"""Measured figures: ``secops bench NAME``; every bench works on throw-away state and gives plain figures."""
