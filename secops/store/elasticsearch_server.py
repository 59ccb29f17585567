"""The connection to Elasticsearch: how it is made, and what its failures mean."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from elastic_transport import ConnectionTimeout, TransportError
from elasticsearch import ApiError, Elasticsearch, OrjsonSerializer, UnsupportedProductError

from secops.errors import UserError
from secops.store.index import IndexUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

REQUEST_SECONDS: Final = 30.0
BUSY: Final = frozenset({429, 502, 503, 504})  # try again later
MAX_SHOWN: Final = 300


def connect(
    urls: Sequence[str], *, ca_file: Path | None = None, credentials: str = "", seconds: float = REQUEST_SECONDS
) -> Elasticsearch:
    """A client for the nodes ``urls``; nothing is sent yet.

    ``credentials`` is ``user:password`` or ``ApiKey <base64>``; it appears in no message.

    Raises:
        UserError: an address or the CA file cannot be used.
    """
    options: dict[str, Any] = {}
    if credentials.startswith("ApiKey "):
        options["api_key"] = credentials.removeprefix("ApiKey ").strip()
    elif credentials:
        user, _, password = credentials.partition(":")
        options["basic_auth"] = (user, password)
    if ca_file is not None:
        options["ssl_context"] = _trust(ca_file)
    try:
        return Elasticsearch(
            list(urls),
            serializers={OrjsonSerializer.mimetype: OrjsonSerializer()},
            request_timeout=seconds,
            max_retries=0,  # who asks knows whether asking again is wanted
            retry_on_timeout=False,
            **options,
        )
    except ValueError as error:
        raise UserError(
            "index.url",
            f"index.url 无效：{error}；写法如 https://es1.example:9200",
            f"index.url is not valid: {error}; write it as https://es1.example:9200",
        ) from None


def _trust(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            "index.ca_file",
            f"无法读取 index.ca_file {ca_file}：{error}",
            f"cannot read index.ca_file {ca_file}: {error}",
        ) from None


@contextmanager
def talking() -> Iterator[None]:
    """Turn the client's errors into ours.

    Raises:
        IndexUnavailable: no node answers, they are overloaded, or they refuse this client.
    """
    try:
        yield
    except ConnectionTimeout as error:
        raise IndexUnavailable("没有及时应答，请缩小时间范围后重试", "no answer in time; try a shorter span") from error
    except (TransportError, ApiError, UnsupportedProductError) as error:
        told = reason(error)
        raise IndexUnavailable(told, told) from error


def reason(error: Exception) -> str:
    """One line about an error of the client, without addresses' credentials or whole bodies."""
    if isinstance(error, ApiError):
        return f"HTTP {error.meta.status} {error.message}"[:MAX_SHOWN]
    return str(getattr(error, "message", error))[:MAX_SHOWN]


def is_busy(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    return error.meta.status in BUSY if isinstance(error, ApiError) else isinstance(error, TransportError)
