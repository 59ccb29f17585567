"""A small real HTTPS server that answers as a cloud does: it checks every signature from the bytes it received, by code of its own."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SECRET = "s3cret-Of-The-Account/+="


class Asked(NamedTuple):
    """A request as it came in."""

    method: str
    path: str  # raw, with its query
    headers: dict[str, str]  # lower-case names, raw values
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.path.partition("?")[2], keep_blank_values=True))


class Told(NamedTuple):
    """What is answered."""

    status: int
    document: Any  # bytes go out as they are
    headers: Mapping[str, str] = MappingProxyType({})


class WrongSignature(Exception):
    """The far end does not believe the caller."""


@dataclass
class World:
    """What the far end knows, and what it does next."""

    now: datetime
    skew: timedelta = timedelta()  # of its clock
    entries: list[dict[str, Any]] = field(default_factory=list)  # the cloud's own shape, in order of arrival
    faults: list[Told] = field(default_factory=list)  # answered first, one a request
    asked: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # why a signature was not believed
    tokens: set[str] = field(default_factory=set)
    nonces: set[str] = field(default_factory=set)

    @property
    def clock(self) -> datetime:
        return self.now + self.skew


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def encode(text: str) -> str:
    """RFC 3986 by hand, so that no two sides share a mistake."""
    fine = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
    return "".join(chr(byte) if byte in fine else f"%{byte:02X}" for byte in text.encode())


def canonical_query(path: str) -> str:
    """Decode what came and encode it anew: an unsorted or half-encoded query does not come out as it went in."""
    raw = path.partition("?")[2]
    pairs = [part.partition("=")[::2] for part in raw.split("&")] if raw else []
    return "&".join(sorted(f"{encode(unquote(n))}={encode(unquote(v))}" for n, v in pairs))


def header_block(asked: Asked, names: str) -> str:
    if "host" not in names.split(";"):
        raise WrongSignature("host is not signed")
    return "".join(f"{name}:{asked.headers[name].strip()}\n" for name in names.split(";"))


def near(moment: datetime, world: World, minutes: int) -> bool:
    return abs(world.clock - moment) <= timedelta(minutes=minutes)


def check_huawei(asked: Asked, world: World) -> Told | None:
    found = re.fullmatch(
        r"SDK-HMAC-SHA256 Access=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})", asked.headers["authorization"]
    )
    if found is None or found[1] != "AK1":
        raise WrongSignature("no such access key")
    date = asked.headers["x-sdk-date"]
    path = asked.path.partition("?")[0]
    parts = [asked.method, path + ("" if path.endswith("/") else "/"), canonical_query(asked.path)]
    parts += [header_block(asked, found[2]), found[2], hashlib.sha256(asked.body).hexdigest()]
    expected = mac(SECRET.encode(), f"SDK-HMAC-SHA256\n{date}\n{digest(chr(10).join(parts))}").hex()
    if expected != found[3]:
        raise WrongSignature("signature")
    if not near(datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC), world, 15):
        return Told(
            401,
            {
                "error_code": "APIGW.0301",
                "error_msg": "Incorrect IAM authentication information: verify aksk signature fail",
            },
        )
    return None


def check_alibaba(asked: Asked, world: World) -> Told | None:
    found = re.fullmatch(
        r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
        asked.headers["authorization"],
    )
    if found is None or found[1] != "AK1":
        raise WrongSignature("no such access key")
    body = hashlib.sha256(asked.body).hexdigest()
    if asked.headers["x-acs-content-sha256"] != body:
        raise WrongSignature("body")
    must = {name for name in asked.headers if name.startswith("x-acs-")} | {"host"}
    if not must <= set(found[2].split(";")):
        raise WrongSignature(f"unsigned: {must}")
    path = asked.path.partition("?")[0]
    parts = [asked.method, path, canonical_query(asked.path), header_block(asked, found[2]), found[2], body]
    if mac(SECRET.encode(), f"ACS3-HMAC-SHA256\n{digest(chr(10).join(parts))}").hex() != found[3]:
        raise WrongSignature("signature")
    nonce = asked.headers["x-acs-signature-nonce"]
    if nonce in world.nonces:
        raise WrongSignature("nonce used twice")
    world.nonces.add(nonce)
    if not near(datetime.fromisoformat(asked.headers["x-acs-date"]), world, 15):
        return Told(
            400,
            {
                "Code": "InvalidTimeStamp.Expired",
                "Message": "Specified time stamp or date value is expired.",
                "RequestId": "r",
            },
        )
    return None


def check_tencent(asked: Asked, world: World) -> Told | None:
    pattern = r"TC3-HMAC-SHA256 Credential=([^/]+)/([0-9-]{10})/cloudaudit/tc3_request, SignedHeaders=(\S+), Signature=([0-9a-f]{64})"
    found = re.fullmatch(pattern, asked.headers["authorization"])
    if found is None or found[1] != "AK1":
        raise WrongSignature("no such secret id")
    second = int(asked.headers["x-tc-timestamp"])
    if datetime.fromtimestamp(second, UTC).date().isoformat() != found[2]:
        raise WrongSignature("day")
    block = "".join(f"{name}:{asked.headers[name].strip().lower()}\n" for name in found[3].split(";"))
    parts = [asked.method, "/", "", block, found[3], hashlib.sha256(asked.body).hexdigest()]
    key = mac(mac(mac(f"TC3{SECRET}".encode(), found[2]), "cloudaudit"), "tc3_request")
    text = f"TC3-HMAC-SHA256\n{second}\n{found[2]}/cloudaudit/tc3_request\n{digest(chr(10).join(parts))}"
    if mac(key, text).hex() != found[4]:
        raise WrongSignature("signature")
    if not near(datetime.fromtimestamp(second, UTC), world, 5):
        return tencent_error("AuthFailure.SignatureExpire", "签名过期")
    return None


def tencent_error(code: str, message: str) -> Told:
    return Told(200, {"Response": {"Error": {"Code": code, "Message": message}, "RequestId": "r"}})


def answer_huawei(asked: Asked, world: World) -> Told:
    if trouble := check_huawei(asked, world):
        return trouble
    if not asked.path.startswith("/v3/p1/traces?"):
        return Told(404, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})
    want = asked.query
    inside = [e for e in world.entries if int(want["from"]) <= e["time"] <= int(want["to"])]
    inside.sort(key=lambda e: (e["time"], e["trace_id"]), reverse=True)
    if "next" in want:
        at = [e["trace_id"] for e in inside].index(want["next"])
        inside = inside[at + 1 :]
    page = inside[: min(int(want["limit"]), 200)]
    return Told(
        200, {"traces": page, "meta_data": {"count": len(page), **({"marker": page[-1]["trace_id"]} if page else {})}}
    )


def answer_alibaba(asked: Asked, world: World) -> Told:
    if trouble := check_alibaba(asked, world):
        return trouble
    want = asked.query
    assert (asked.method, asked.headers["x-acs-action"], asked.headers["x-acs-version"]) == (
        "POST",
        "LookupEvents",
        "2020-07-06",
    )
    inside = [e for e in world.entries if want["StartTime"] <= e["eventTime"] <= want["EndTime"]]
    inside.sort(key=lambda e: (e["eventTime"], e["eventId"]), reverse=want["Direction"] == "BACKWARD")
    at = int(want.get("NextToken", "t0")[1:])
    size = min(int(want["MaxResults"]), 50)
    more = {"NextToken": f"t{at + size}"} if at + size < len(inside) else {}
    return Told(200, {"RequestId": "r", "Events": inside[at : at + size], **more})


def answer_tencent(asked: Asked, world: World) -> Told:
    if trouble := check_tencent(asked, world):
        return trouble
    want = json.loads(asked.body)
    assert (asked.headers["x-tc-action"], asked.headers["x-tc-version"]) == ("DescribeEvents", "2019-03-19")
    inside = [e for e in world.entries if want["StartTime"] <= int(e["EventTime"]) <= want["EndTime"]]
    inside.sort(key=lambda e: (e["EventTime"], e["EventId"]), reverse=True)
    at, size = int(want.get("NextToken", 0)), min(want["MaxResults"], 50)
    over = at + size >= len(inside)
    response = {"ListOver": over, "NextToken": at + size, "Events": inside[at : at + size] or None, "RequestId": "r"}
    return Told(200, {"Response": response})


def answer_openstack(asked: Asked, world: World) -> Told:
    if asked.path == "/identity/v3/auth/tokens":
        credential = json.loads(asked.body)["auth"]["identity"]["application_credential"]
        if credential != {"id": "AK1", "secret": SECRET}:
            raise WrongSignature("credential")
        token = f"gAAAA{len(world.tokens)}"
        world.tokens = {token}
        expires = (world.clock + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        return Told(
            201,
            {"token": {"expires_at": expires, "catalog": [{"endpoints": [{"url": "http://169.254.169.254/"}]}]}},
            {"X-Subject-Token": token},
        )
    if asked.headers.get("x-auth-token") not in world.tokens:
        return Told(401, {"error": {"code": 401, "message": "The request you have made requires authentication."}})
    assert asked.headers["openstack-api-version"] == "compute 2.66"
    want, path = asked.query, asked.path.partition("?")[0]
    if path == "/compute/v2.1/servers":
        assert want["all_tenants"] == "true"
        touched = sorted({e["instance_uuid"] for e in world.entries if e["updated_at"] >= want["changes-since"][:19]})
        rest = touched[touched.index(want["marker"]) + 1 :] if "marker" in want else touched
        links = {"servers_links": [{"rel": "next", "href": "http://169.254.169.254/"}]} if rest[3:] else {}
        return Told(200, {"servers": [{"id": one, "name": f"web-{one}"} for one in rest[:3]], **links})
    found = re.fullmatch(r"/compute/v2\.1/servers/([^/]+)/os-instance-actions(?:/([^/]+))?", path)
    if found is None:
        return Told(404, {"itemNotFound": {"code": 404, "message": "no"}})
    mine = [e for e in world.entries if e["instance_uuid"] == found[1]]
    if found[2]:
        return Told(200, {"instanceAction": next(e for e in mine if e["request_id"] == found[2])})
    inside = [e for e in mine if want["changes-since"][:19] <= e["updated_at"] <= want["changes-before"][:19]]
    inside.sort(key=lambda e: e["start_time"], reverse=True)
    names = [e["request_id"] for e in inside]
    rest = inside[names.index(want["marker"]) + 1 :] if "marker" in want else inside
    more = {"links": [{"rel": "next", "href": "http://169.254.169.254/"}]} if rest[4:] else {}
    return Told(200, {"instanceActions": [{k: v for k, v in e.items() if k != "events"} for e in rest[:4]], **more})


def huawei_entry(number: int, at: datetime) -> dict[str, Any]:
    user = json.dumps({"name": "liwei", "id": "u1", "domain": {"name": "city", "id": "d1"}})
    return {
        "trace_id": f"t-{number}",
        "trace_name": "createServer",
        "service_type": "ECS",
        "trace_rating": "normal",
        "code": "202",
        "time": int(at.timestamp() * 1000),
        "user": user,
        "source_ip": "203.0.113.9",
        "trace_type": "ApiCall",
    }


def alibaba_entry(number: int, at: datetime) -> dict[str, Any]:
    return {
        "eventId": f"t-{number}",
        "eventVersion": "1",
        "eventName": "RunInstances",
        "eventSource": "ecs.aliyuncs.com",
        "serviceName": "Ecs",
        "acsRegion": "cn-hangzhou",
        "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventType": "ApiCall",
        "sourceIpAddress": "203.0.113.9",
        "userIdentity": {"type": "ram-user", "accountId": "100", "userName": "liwei", "principalId": "28"},
    }


def tencent_entry(number: int, at: datetime) -> dict[str, Any]:
    china = at.astimezone(UTC) + timedelta(hours=8)
    inner = {
        "eventID": f"t-{number}",
        "eventName": "RunInstances",
        "eventRegion": "ap-guangzhou",
        "eventTime": china.strftime("%Y-%m-%d %H:%M:%S"),
        "eventSource": "cvm.tencentcloudapi.com",
        "resourceType": "cvm",
        "errorCode": 0,
        "sourceIPAddress": "203.0.113.9",
        "actionType": "Write",
        "userIdentity": {"accountId": "100", "userName": "liwei", "principalId": "9", "type": "CAMUser"},
    }
    return {
        "EventId": f"t-{number}",
        "Username": "liwei",
        "EventTime": str(int(at.timestamp())),
        "EventName": "RunInstances",
        "CloudAuditEvent": json.dumps(inner, ensure_ascii=False),
    }


def openstack_entry(number: int, at: datetime) -> dict[str, Any]:
    text = at.strftime("%Y-%m-%dT%H:%M:%S.000000")
    events = [{"event": "compute__do_build", "start_time": text, "finish_time": text, "result": "Success"}]
    return {
        "action": "create",
        "instance_uuid": f"0000-{number % 7}",
        "request_id": f"t-{number}",
        "user_id": "u1",
        "project_id": "p1",
        "start_time": text,
        "updated_at": text,
        "message": None,
        "events": events,
    }


@dataclass(frozen=True)
class Cloud:
    """One vendor, for tests that hold for all."""

    kind: str
    answer: Callable[[Asked, World], Told]
    entry: Callable[[int, datetime], dict[str, Any]]
    key: str
    own: dict[str, Any]
    dataset: str
    throttled: Told
    expired: Told
    wrong: Told  # the signature was not believed


CLOUDS = {
    cloud.kind: cloud
    for cloud in (
        Cloud("huawei_cts", answer_huawei, huawei_entry, f'access_key = "AK1"\nsecret_key = "{SECRET}"\n', {"region": "cn-north-4", "project_id": "p1"}, "huaweicloud.cts",
              Told(429, {"error_code": "APIGW.0308", "error_msg": "The throttling threshold has been reached"}),
              Told(401, {"error_code": "APIGW.0307", "error_msg": "The token must be updated"}),
              Told(401, {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information: AK access failed to reach the limit"})),
        Cloud("alibaba_actiontrail", answer_alibaba, alibaba_entry, f'access_key_id = "AK1"\naccess_key_secret = "{SECRET}"\n', {"region": "cn-hangzhou", "account": "100"}, "aliyun.actiontrail",
              Told(400, {"Code": "Throttling.User", "Message": "Request was denied due to user flow control."}),
              Told(400, {"Code": "InvalidSecurityToken.Expired", "Message": "Specified SecurityToken is expired."}),
              Told(400, {"Code": "SignatureDoesNotMatch", "Message": "Specified signature is not matched with our calculation."})),
        Cloud("tencent_cloudaudit", answer_tencent, tencent_entry, f'secret_id = "AK1"\nsecret_key = "{SECRET}"\n', {"account": "100"}, "tencentcloud.cloudaudit",
              tencent_error("RequestLimitExceeded", "Your current request times equals to `20` in a second, which exceeds the frequency limit"),
              tencent_error("AuthFailure.TokenFailure", "token错误"),
              tencent_error("AuthFailure.SignatureFailure", "The provided credentials could not be validated")),
        Cloud("openstack_actions", answer_openstack, openstack_entry, f'id = "AK1"\nsecret = "{SECRET}"\n', {}, "openstack.audit",
              Told(429, {"overLimit": {"code": 429, "message": "This request was rate-limited."}}, {"Retry-After": "1"}),
              Told(401, {"error": {"code": 401, "message": "Application credential has expired"}}),
              Told(401, {"error": {"code": 401, "message": "The request you have made requires authentication."}})),
    )
}  # fmt: skip


@dataclass
class FarEnd:
    """The server as a test sees it."""

    cloud: Cloud
    world: World
    port: int
    folder: Path

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, Any]:
        """What the collector is told, its key file written."""
        key = self.folder / "key.toml"
        if not key.exists():
            key.touch(0o600)
            key.write_text(self.cloud.key)
        place = {"endpoint": f"https://{self.host}"}
        if self.cloud.kind == "openstack_actions":
            place = {
                "identity_url": f"https://{self.host}/identity/v3",
                "compute_url": f"https://{self.host}/compute/v2.1",
            }
        quick = {"requests_per_second": 100, "poll_seconds": 1, "ca_file": str(self.folder / "ca.pem")}
        return {"key_file": str(key), "tenant": "county-a", **self.cloud.own, **place, **quick}


def make_certificates(folder: Path) -> None:
    """A CA of one's own, and a certificate for loopback by it."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "far end's CA")])
    begin, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)
    shared = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False),
    ]
    use = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(ca_key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    for extension, critical in [*shared, (use, True)]:
        ca = ca.add_extension(extension, critical)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    issued = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    issued = issued.add_extension(names, True).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "ca.pem").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "server.pem").write_bytes(issued.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    (folder / "server.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


@contextmanager
def far_end(cloud: Cloud, world: World, folder: Path) -> Iterator[FarEnd]:
    """Serve ``world`` as ``cloud`` until the block ends."""
    make_certificates(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, body)
            world.asked.append(asked)
            try:
                told = world.faults.pop(0) if world.faults else cloud.answer(asked, world)
            except WrongSignature as error:
                world.refused.append(str(error))
                told = cloud.wrong
            data = (
                told.document
                if isinstance(told.document, bytes)
                else json.dumps(told.document, ensure_ascii=False).encode()
            )
            self.send_response_only(told.status)
            self.send_header("Date", format_datetime(world.clock.astimezone(UTC), usegmt=True))
            self.send_header("Content-Length", str(len(data)))
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = respond  # noqa: N815 - the server calls them by the method's name

        def log_message(self, *_arguments: object) -> None:
            """Nobody reads it."""

        def handle(self) -> None:
            try:
                super().handle()
            except (ConnectionError, ssl.SSLError):
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is part of the tests."""

        def get_request(self) -> tuple[Any, Any]:
            plain, address = super().get_request()
            plain.settimeout(20)
            return context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield FarEnd(cloud, world, server.server_address[1], folder)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
