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
    noise,
    overview,
    parsers,
    people,
    quotas,
    rule_actions,
    rule_editor,
    rule_imports,
    rules,
    runbooks,
    searches,
    silences,
    sources,
    tickets,
    uploads,
)

PAGES = (
    *overview.ROUTES,
    *searches.ROUTES,  # before events: /events/searches is no event
    *events.ROUTES,
    *silences.ROUTES,  # before alerts: /alerts/silences is no alert
    *noise.ROUTES,
    *alerts.ROUTES,
    *runbooks.ROUTES,
    *tickets.ROUTES,
    *evidence.ROUTES,
    *rule_editor.ROUTES,  # before the rules themselves: /rules/new is no rule's id
    *rule_imports.ROUTES,
    *rule_actions.ROUTES,
    *rules.ROUTES,
    *parsers.ROUTES,
    *quotas.ROUTES,  # before sources: /sources/quotas is no source's id
    *uploads.ROUTES,  # likewise: /sources/uploads
    *sources.ROUTES,
    *people.ROUTES,
    *certificates.ROUTES,
    *audit.ROUTES,
    *me.ROUTES,
    *login.ROUTES,
    *certificate_login.ROUTES,
    *enrolment.ROUTES,
)
