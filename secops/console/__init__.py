"""The console: one file a page. ``PAGES`` is every page's routes, each with who may come in."""

from __future__ import annotations

from secops.console import (
    alerts,
    audit,
    certificate_login,
    certificates,
    enrolment,
    events,
    evidence,
    login,
    me,
    overview,
    people,
    rules,
    tickets,
)

PAGES = (
    *overview.ROUTES,
    *events.ROUTES,
    *alerts.ROUTES,
    *tickets.ROUTES,
    *evidence.ROUTES,
    *rules.ROUTES,
    *people.ROUTES,
    *certificates.ROUTES,
    *audit.ROUTES,
    *me.ROUTES,
    *login.ROUTES,
    *certificate_login.ROUTES,
    *enrolment.ROUTES,
)
