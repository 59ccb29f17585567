"""Runbooks as pages: the Markdown files of runbooks/, rendered without any HTML of their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from markdown_it import MarkdownIt
from markupsafe import Markup

from secops.api.problems import NotFound
from secops.console.visit import Access, Page, Routes

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

    from secops.console.visit import Visit

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,100}\.md")  # over a part of an address
MOST_BYTES: Final = 256 * 1024


def show(visit: Visit) -> Response:
    """One runbook."""
    path = runbook(visit.service.content_dir / "runbooks", visit.part("name"))
    if path is None:
        raise NotFound
    text = path.read_bytes()[:MOST_BYTES].decode("utf-8", "replace")
    title, _, body = text.partition("\n")
    return visit.page("runbook.html", title=title.lstrip("# "), body=render(body), name=path.name)


def runbook(folder: Path, name: str) -> Path | None:
    """The file of that name; None when there is none, or the name is no runbook's."""
    path = folder / name
    return path if NAME.fullmatch(name) and path.is_file() and path.resolve().parent == folder.resolve() else None


def render(text: str) -> Markup:
    """Markdown as HTML; HTML in the text is shown as text, and links lead to http(s) or to our own pages only."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return Markup(parser.render(text))  # noqa: S704 - made by the parser, which escapes all text and refuses script links


ROUTES: Routes = (Page("GET", "/runbooks/{name}", show, Access.SIGNED_IN),)  # whoever sees a rule or works at a ticket
