"""The pages of uploads: who may bring a file, what a table's columns are, the same file twice, hostile forms."""

from __future__ import annotations

import http.client

import httpx
import pytest

from identity.principal import Role
from secops import uploads
from secops.audit import last
from secops.uploads import UploadRow, UploadState
from tests.console.world import World, form_token, open_page, send

PATH = "/sources/uploads"
TABLE = "时间,主机,内容,端口\n2026-03-01 08:00:00,web-1,登录失败 <script>,22\n".encode("gb18030")


@pytest.fixture(scope="module", autouse=True)
def people(world: World) -> None:
    world.add("north-uploads", Role.SYSTEM_ADMIN, organization="north")


def bring(
    client: httpx.Client, *files: tuple[str, bytes], tenant: str = "city", kind: str = "", **more: str
) -> httpx.Response:
    fields = {"form_token": form_token(client.get(PATH)), "tenant": tenant, "kind": kind, **more}
    origin = f"{client.base_url.scheme}://{client.base_url.netloc.decode()}"
    return client.post(PATH, data=fields, files=[("file", file) for file in files], headers={"origin": origin})


def rows(world: World) -> list[UploadRow]:
    with world.service.database.read() as tx:
        return list(uploads.listed(tx, None, 100))


def kept_files(world: World) -> int:
    return len(list(world.service.uploads_dir.iterdir())) if world.service.uploads_dir.exists() else 0


def test_a_file_is_brought_told_and_not_doubled(world: World) -> None:
    with world.client("admin") as client:
        answer = bring(client, ("..\\日志/a.jsonl", b'{"message": "first"}\n'))
        assert answer.status_code == 303
        assert "done=upload" in answer.headers["location"]
        row = rows(world)[0]
        assert (row.name, row.state, row.actor, row.kind) == ("a.jsonl", UploadState.QUEUED, "admin", "json")
        assert row.sha256 in open_page(client, answer.headers["location"], within=2).text
        again = bring(client, ("b.jsonl", b'{"message": "first"}\n'))
        assert "done=upload-known" in again.headers["location"]
        assert rows(world)[0].id == row.id
        assert "a.jsonl" in open_page(client, PATH, within=2).text
    with world.service.database.read() as tx:
        act = last(tx, "upload.receive")
        assert act is not None
        assert (act.actor, act.tenant, act.detail["sha256"]) == ("admin", "city", row.sha256)


def test_several_files_come_in_one_form(world: World) -> None:
    with world.client("admin") as client:
        before = len(rows(world))
        answer = bring(client, *((f"{n}.jsonl", b'{"several": %d}\n' % n * 50_000) for n in range(3)))
        assert answer.headers["location"].startswith(f"{PATH}?")
        assert len(rows(world)) == before + 3
        assert {row.size for row in rows(world)[:3]} == {15 * 50_000}


def test_a_table_waits_for_its_columns_and_is_remembered(world: World) -> None:
    with world.client("admin") as client:
        where = bring(client, ("审计.csv", TABLE)).headers["location"].partition("?")[0]
        page = open_page(client, where, within=2).text
        assert "<option selected>时间</option>" in page, "a guess is made"
        assert "<script>" not in page.partition('id="columns"')[2].partition("</table>")[0]
        wrong = send(client, where, f"{where}/columns", **{"column:message": "没有"})
        assert wrong.status_code == 400
        assert (
            send(client, where, f"{where}/columns", **{"column:message": "内容", "zone": "Mars/Base"}).status_code
            == 400
        )
        chosen = {
            "column:@timestamp": "时间",
            "column:host.name": "主机",
            "column:message": "内容",
            "zone": "Asia/Urumqi",
        }
        assert send(client, where, f"{where}/columns", **chosen).status_code == 303
        assert send(client, where, f"{where}/columns", **chosen).status_code == 409
        assert rows(world)[0].layout["zone"] == "Asia/Urumqi"
        bring(client, ("next.csv", TABLE.replace(b"22", b"23")))
        assert (rows(world)[0].name, rows(world)[0].state) == ("next.csv", UploadState.QUEUED)
        assert rows(world)[0].layout["columns"]["message"] == "内容"


def test_what_cannot_be_read_is_refused_and_leaves_nothing(world: World) -> None:
    with world.client("admin") as client:
        before, files = len(rows(world)), kept_files(world)
        for name, data, kind in (
            ("a.evtx", b"MZ no event file", "evtx"),
            ("a.zip", b"PK\x03\x04 no archive", ""),
            ("wide.csv", b",".join(b"c%d" % n for n in range(10_000)), ""),
            ("a.gz", b"\x1f\x8b broken", ""),
        ):
            answer = bring(client, (name, data), kind=kind)
            assert answer.status_code == 400, name
            assert "无法读取" in answer.text
        assert bring(client, ("", b"")).status_code == 400
        assert (len(rows(world)), kept_files(world)) == (before, files)


def test_only_who_manages_sources_of_an_organisation_brings_files_for_it(world: World) -> None:
    before, files = len(rows(world)), kept_files(world)
    document = ("mine.jsonl", b'{"whose": "?"}\n')
    with world.client("north-uploads") as client:
        assert bring(client, document, tenant="city").status_code == 403
        assert bring(client, document, tenant="north").status_code == 303
        own = client.get(PATH).text
        assert "mine.jsonl" in own
        assert "a.jsonl" not in own
        foreign = next(row for row in rows(world) if row.tenant == "city")
        assert client.get(f"{PATH}/{foreign.id}").status_code == 404
        assert send(client, PATH, f"{PATH}/{foreign.id}/discard").status_code == 404
    with world.client("officer") as client:
        token = form_token(client.get(PATH))
        answer = client.post(
            PATH,
            data={"form_token": token, "tenant": "city"},
            files=[("file", document)],
            headers={"origin": world.origin},
        )
        assert answer.status_code == 403
    with world.client("admin") as client:
        assert (
            client.post(
                PATH, data={"tenant": "city"}, files=[("file", document)], headers={"origin": world.origin}
            ).status_code
            == 403
        )
        token = form_token(client.get(PATH))
        foreign_page = client.post(
            PATH,
            data={"form_token": token, "tenant": "city"},
            files=[("file", document)],
            headers={"origin": "https://evil.example"},
        )
        assert foreign_page.status_code == 403
    with world.client() as client:
        assert client.post(PATH, data={"tenant": "city"}, files=[("file", document)]).status_code in {303, 401}
    assert (len(rows(world)), kept_files(world)) == (before + 1, files + 1)


def test_a_file_that_waits_can_be_discarded_and_brought_again(world: World) -> None:
    with world.client("admin") as client:
        where = bring(client, ("gone.jsonl", b'{"n": "gone"}\n')).headers["location"].partition("?")[0]
        files = kept_files(world)
        assert send(client, where, f"{where}/discard").status_code == 303
        assert kept_files(world) == files - 1
        assert send(client, where, f"{where}/discard").status_code == 409
        assert bring(client, ("gone.jsonl", b'{"n": "gone"}\n')).headers["location"].partition("?")[0] == where
        assert rows(world)[0].state == UploadState.QUEUED


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense"),
        ("multipart/form-data; boundary=" + "y" * 3000, b""),
        ("multipart/form-data", b"--x--"),
        ("application/x-www-form-urlencoded", b"a=b"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"z" * 5000),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 200),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A" * 100_000 + b": b\r\n\r\n"),
    ],
)
def test_odd_forms_are_answered(world: World, content_type: str, body: bytes) -> None:
    files = kept_files(world)
    with world.client("admin") as client:
        answer = client.post(PATH, content=body, headers={"content-type": content_type, "origin": world.origin})
        assert answer.status_code in {400, 415}
    assert kept_files(world) == files


def declared(world: World, path: str, length: int) -> int:
    """The status of the answer to a request that says how long it is, before any of it is sent."""
    port = world.service.settings.web.port
    connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=world.tls())
    try:
        connection.putrequest("POST", path)
        for name, value in (
            ("content-type", "multipart/form-data; boundary=x"),
            ("content-length", str(length)),
            ("cookie", f"__Host-secops={world.session('admin')}"),
            ("origin", world.origin),
        ):
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_file_beyond_the_bound_is_refused_by_its_length(world: World) -> None:
    assert declared(world, PATH, world.service.settings.uploads.max_file_bytes * 2) == 413
    assert declared(world, "/sources/quotas", 1 << 20) == 413, "other addresses take no more than ever"


def test_every_page_opens_in_both_languages(world: World) -> None:
    for username in ("admin", "officer", "keeper"):
        for lang in ("zh", "en"):
            with world.client(username, lang=lang) as client:
                for path in (PATH, *(f"{PATH}/{row.id}" for row in rows(world)[:4])):
                    assert "%(" not in open_page(client, path, within=2).text
    with world.client("inspector") as client:
        assert client.get(PATH).status_code == 403
