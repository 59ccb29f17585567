"""From the settings to the index in Elasticsearch."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from secops.errors import UserError
from secops.store.elasticsearch import ElasticIndex, Layout
from secops.store.elasticsearch_server import connect

if TYPE_CHECKING:
    from pathlib import Path

    from secops import settings


def open_elastic(said: settings.Index, *, writable: bool) -> ElasticIndex:
    """The index that the settings name; the cluster is not spoken to yet.

    Raises:
        UserError: an address, the CA file or the credentials cannot be used; the text names which.
    """
    urls, credentials = _urls(said.url), _credentials(said)
    if credentials:
        _refuse_clear_text(urls)
    client = connect(urls, ca_file=said.ca_file, credentials=credentials)
    layout = Layout(
        shards=said.shards,
        replicas=said.replicas,
        rollover_size=said.rollover_size,
        rollover_age=said.rollover_age,
    )
    return ElasticIndex(client, said.name, writable=writable, layout=layout)


def _urls(text: str) -> list[str]:
    urls = [url.strip() for url in text.split(",") if url.strip()]
    if not urls:
        raise UserError(
            "index.url",
            "index.engine 为 elasticsearch 时须填写 index.url，例如 https://es1.example:9200",
            "index.engine is elasticsearch, so index.url is needed, e.g. https://es1.example:9200",
        )
    if any("@" in urlsplit(url).netloc for url in urls):  # an address is shown in messages, a password never
        raise UserError(
            "index.url",
            "index.url 中不得包含用户名或密码；请改用 index.credentials_file",
            "index.url must not hold a user or password; use index.credentials_file",
        )
    return urls


def _refuse_clear_text(urls: list[str]) -> None:
    for parts in map(urlsplit, urls):
        if parts.scheme != "https" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise UserError(
                "index.url",
                f"index.url 的 {parts.hostname or parts.path} 未使用 https，口令会以明文传输；请改为 https://",
                f"{parts.hostname or parts.path} in index.url is not https, so the password would travel in the clear; use https://",
            )


def _credentials(said: settings.Index) -> str:
    line = said.credentials.get_secret_value() if said.credentials_file is None else _read(said.credentials_file)
    if line and not line.startswith("ApiKey ") and ":" not in line:
        raise UserError(
            "index.credentials",
            "index.credentials 的写法为 用户:密码 或 ApiKey <base64>",
            "index.credentials is written user:password or ApiKey <base64>",
        )
    return line


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "UTF-8"
        raise UserError(
            "index.credentials_file",
            f"无法读取 index.credentials_file {path}：{why}",
            f"cannot read index.credentials_file {path}: {why}",
        ) from None
