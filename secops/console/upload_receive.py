"""Files that come by the console's form: straight to the state folder while they arrive, whoever sends them checked first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from identity.principal import Permission
from identity.provider import IdentityError
from monitors.files.reading import KINDS
from secops.api import session as sessions
from secops.api.problems import Forbidden, Refusal
from secops.console import refusals
from secops.console.tenants import tenant_names
from secops.console.visit import admit, open_visit

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from secops.console.rendering import Pages
    from secops.console.visit import Visit
    from secops.upload_files import Incoming, Kept
    from secops.uploads import UploadRow

PATH: Final = "/sources/uploads"
OVERHEAD: Final = 64 * 2**10  # bytes of a request beside its file
_MOST_PARTS: Final = 100
_LONGEST_VALUE: Final = 1000
_AT_ONCE: Final = 1 << 20  # bytes written in one go


@dataclass
class _Part:
    """What the form's parser has found since the last look."""

    name: str = ""
    file: str | None = None  # its file name; None for a field
    data: list[bytes] = field(default_factory=list)
    ended: bool = False


class _Form:
    """The parts of a multipart form, as they come."""

    def __init__(self, boundary: bytes) -> None:
        self.parts: list[_Part] = []
        self.seen = 0
        self._header = [b"", b""]
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._said(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._said(1, data[start:end]),
                "on_header_end": self._named,
                "on_part_data": lambda data, start, end: self.parts[-1].data.append(data[start:end]),
                "on_part_end": self._end,
            },
        )

    def take(self, block: bytes) -> list[_Part]:
        """Go over a block; gives the parts, of which the last may go on in the next block.

        Raises:
            Refusal: it is no such form.
        """
        try:
            self._parser.write(block)
        except FormParserError:
            raise _broken() from None
        found = self.parts
        self.parts = [] if not found or found[-1].ended else [_Part(found[-1].name, found[-1].file)]
        return found

    def _begin(self) -> None:
        self.seen += 1
        if self.seen > _MOST_PARTS:
            raise _broken()
        self.parts.append(_Part())

    def _said(self, place: int, text: bytes) -> None:
        self._header[place] += text

    def _named(self) -> None:
        name, value = self._header
        self._header = [b"", b""]
        if name.lower() == b"content-disposition":
            options = parse_options_header(value)[1]
            self.parts[-1].name = options.get(b"name", b"").decode("utf-8", "replace")
            if b"filename" in options:
                self.parts[-1].file = options[b"filename"].decode("utf-8", "replace")

    def _end(self) -> None:
        self.parts[-1].ended = True


class _Receiving:
    """One request: its fields, then its files; nothing of a file is taken from who may not bring it."""

    def __init__(self, request: Request, pages: Pages, own_origin: str) -> None:
        self._request, self._pages, self._own_origin = request, pages, own_origin
        self._fields: dict[str, list[str]] = {}
        self._visit: Visit | None = None
        self._incoming: Incoming | None = None
        self._waiting: list[bytes] = []
        self._size = 0
        self.brought: list[tuple[UploadRow, bool]] = []

    async def take(self, part: _Part) -> None:
        """A part, or a piece of one."""
        if part.file is None:
            self._field(part)
            return
        if self._visit is None:
            self._visit = await run_in_threadpool(self._admit)
        if self._incoming is None and (part.file or part.data):
            incoming = self._visit.service.inbox.incoming(self._visit.value("tenant"))
            self._incoming = await run_in_threadpool(incoming.__enter__)
        self._waiting += part.data
        self._size += sum(map(len, part.data))
        if self._size >= _AT_ONCE or part.ended:
            await self._write()
        if part.ended and self._incoming is not None:
            await run_in_threadpool(self._finish, part.file)

    async def close(self) -> None:
        """Leave nothing behind of a file that did not arrive whole."""
        if self._incoming is not None:
            await run_in_threadpool(self._incoming.__exit__, None, None, None)

    def answer(self) -> Response:
        """Where the browser goes."""
        if self._visit is None or not self.brought:
            raise Refusal(400, "upload.none", "没有选择文件。", "No file was chosen.")
        row, new = self.brought[0]
        done = "upload" if any(fresh for _, fresh in self.brought) else "upload-known"
        return self._visit.to(f"{PATH}/{row.id}" if len(self.brought) == 1 else PATH, done if new or done else "")

    async def _write(self) -> None:
        if self._incoming is not None and self._waiting:
            await run_in_threadpool(self._incoming.write, b"".join(self._waiting))
        self._waiting, self._size = [], 0

    def _field(self, part: _Part) -> None:
        text = self._fields.setdefault(part.name, [""])
        text[0] += b"".join(part.data).decode("utf-8", "replace")
        if len(text[0]) > _LONGEST_VALUE:
            raise _broken()

    def _admit(self) -> Visit:
        """Who brings the file; before a byte of it is taken.

        Raises:
            LoginNeeded, Forbidden, Refusal: he may not.
        """
        visit = open_visit(self._request, self._fields, self._pages)
        try:
            sessions.check_form(self._request, visit.value(sessions.FORM_FIELD), self._own_origin)
            tenant = visit.value("tenant", limit=100)
            if tenant not in tenant_names(visit):
                raise Forbidden
            visit.need(Permission.SOURCES_MANAGE, visit.tenant(tenant))
        except (Refusal, IdentityError) as refused:
            refusals.record(visit, refused.code, str(refused))
            raise
        return visit

    def _finish(self, name: str) -> None:
        assert self._visit is not None
        assert self._incoming is not None
        visit, incoming, self._incoming = self._visit, self._incoming, None
        try:
            if not incoming.size:
                return
            kept = incoming.keep()
        finally:
            incoming.__exit__(None, None, None)
        self.brought.append(self._register(visit, kept, name))

    def _register(self, visit: Visit, kept: Kept, name: str) -> tuple[UploadRow, bool]:
        kind = visit.value("kind")
        return visit.service.inbox.take(
            kept,
            tenant=visit.value("tenant"),
            name=name,
            reading=None,
            kind=kind if kind in KINDS else "",
            actor=visit.principal.username,
            source_ip=visit.source_ip,
        )


def receive_route(pages: Pages, own_origin: str) -> Route:
    """The address that takes the form with files."""

    async def endpoint(request: Request) -> Response:
        await run_in_threadpool(lambda: admit(open_visit(request, {}, pages), Permission.SOURCES_MANAGE))
        media_type, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary", b"")
        if media_type != b"multipart/form-data" or not boundary:
            raise Refusal(415, "form.type", "请使用页面上的表单提交。", "Send the form of the page.")
        try:
            form = _Form(boundary)
        except FormParserError:
            raise _broken() from None
        receiving = _Receiving(request, pages, own_origin)
        try:
            async for block in request.stream():
                for part in form.take(block):
                    await receiving.take(part)
        finally:
            await receiving.close()
        return receiving.answer()

    return Route(PATH, endpoint, methods=["POST"], include_in_schema=False, name=f"POST {PATH}")


def _broken() -> Refusal:
    return Refusal(400, "form.broken", "表单内容无法识别。", "The form cannot be read.")
