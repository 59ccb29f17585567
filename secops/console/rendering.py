"""Pages from templates: one Jinja environment a language, strict about undefined names, escaping everything."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2

from identity.principal import Permission
from secops.api.session import FORM_FIELD
from secops.console import charts, labels
from secops.console.charts import SHANGHAI

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.api.problems import Problem
    from secops.console.texts import Texts
    from secops.console.visit import Visit

_KIBI: Final = 1024
HERE: Final = Path(__file__).parent
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Pages:
    """The templates in every language, and the static files."""

    def __init__(self, texts: Mapping[str, Texts], home: str) -> None:
        self.texts = texts
        self.home = home  # the console's origin: pages of the certificate port lead back to it
        self.static = {
            path.name: path.read_bytes() for path in (HERE / "static").iterdir() if path.suffix in MEDIA_TYPES
        }
        self._versions = {name: hashlib.sha256(body).hexdigest()[:12] for name, body in self.static.items()}
        self._environments = {lang: self._environment(one) for lang, one in texts.items()}

    def render(self, visit: Visit, template: str, context: Mapping[str, Any]) -> str:
        """A whole page."""
        environment = self._environments[visit.texts.lang]
        return environment.get_template(template).render(
            visit=visit,
            form_field=FORM_FIELD,
            navigation=[entry for entry in labels.NAVIGATION if visit.session and visit.can(entry.permission)],
            done=labels.DONE.get(visit.request.query_params.get("done", ""), ""),
            **context,
        )

    def render_problem(self, lang: str, problem: Problem, back: str = "") -> str:
        """The page of a problem; needs nobody to be logged in and no database."""
        return self._environments[lang].get_template("problem.html").render(problem=problem, back=back, done="")

    def static_url(self, name: str) -> str:
        """The address of a static file; it changes with the content, so browsers may keep it for ever."""
        return f"/static/{name}?v={self._versions[name]}"

    def _environment(self, texts: Texts) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.i18n"],
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined]  # from the extension
        environment.filters.update(
            clock=clock,
            day=day,
            span=lambda value: span(value, texts),
            size=size,
            name=lambda v, kind: name(v, kind, texts),
        )
        environment.globals.update(
            texts=texts,
            home=self.home,
            static_url=self.static_url,
            charts=charts,
            labels=labels,
            Permission=Permission,
            pick=texts.pick,
        )
        return environment


def clock(value: datetime | str | None) -> str:
    """A moment in Shanghai time, to the second; "" for None. Accepts RFC 3339 text as events carry it."""
    if not value:
        return ""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return str(value)
    return value.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def day(value: datetime | None) -> str:
    """A day in Shanghai."""
    return value.astimezone(SHANGHAI).strftime("%Y-%m-%d") if value else ""


def span(value: timedelta | None, texts: Texts) -> str:
    """A length of time in its two largest units; negative for what is past."""
    if value is None:
        return "—"
    seconds = int(abs(value.total_seconds()))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts = [
        (seconds // size_ % (10**9 if i == 0 else units[i - 1][1] // size_), unit)
        for i, (unit, size_) in enumerate(units)
    ]
    shown = [f"{number} {texts.gettext(unit)}" for number, unit in parts if number][:2] or [f"0 {texts.gettext('s')}"]
    return ("-" if value < timedelta(0) else "") + " ".join(shown)


def size(value: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < _KIBI:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIBI
    return f"{value:.1f} TiB"


def name(value: object, kind: str, texts: Texts) -> str:
    """The text for a value of a closed set (``labels.NAMES``); the value itself where it is not in the set."""
    return texts.gettext(labels.NAMES[kind].get(str(value), str(value)))
