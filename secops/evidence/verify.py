"""验证证据包 / Verify an evidence pack. One file, standard library only, Python 3.8 or newer.

    python3 verify.py PACK.zip --root SHA256     exit code 0: all holds, 1: tampered or wrong, 2: cannot be verified

It trusts nothing in the pack: it rebuilds every header of the zip and compares the bytes, hashes every file, checks
that the manifest is in its one canonical form (RFC 8785), verifies the ECDSA P-256 signature by integer arithmetic,
walks the certificates (RFC 5280) up to a root whose SHA-256 you give, and recomputes the Merkle root (RFC 6962).
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import struct
import sys
import unicodedata
import zlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

    Point = tuple[int, int] | None

ROOTS = ()  # SHA-256 of trusted root certificates; `secops evidence verifier` writes the city's here

FORMAT = "secops-evidence/1"
MANIFEST, SIGNATURE, CHAIN = "manifest.json", "seal/manifest.sig", "seal/chain.pem"
UNLISTED = (MANIFEST, SIGNATURE, CHAIN)
MAX_ENTRIES = 20_010
MAX_PATH = 240
KEPT = {MANIFEST: 8 * 1024 * 1024, SIGNATURE: 80, CHAIN: 64 * 1024}  # read into memory, up to so many bytes
MAX_DEPTH, MAX_VALUES, INTEGER_DIGITS = 40, 400_000, 17
MAX_SHOWN = 50
CERTIFICATES = range(2, 6)  # in a chain
LENGTH_BYTES = range(1, 4)
UTC_TIME, GENERALIZED_TIME, LONG = 0x17, 0x18, 0x80  # DER: two tags, and the mark of a long length
CHUNK = 1 << 20
OK, WRONG, OPEN = 0, 1, 2


class Finding(NamedTuple):
    """One thing that is wrong (exit code 1) or could not be verified (2)."""

    level: int
    code: str
    item: str  # the file or part that it is about
    zh: str
    en: str


class Stop(Exception):  # noqa: N818 - it ends the reading; what is wrong is the finding inside
    """Nothing after this can be checked."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.en)
        self.finding = finding


class Entry(NamedTuple):
    """A file of the zip as it was read."""

    path: str
    size: int
    crc: int
    offset: int
    sha256: str
    sm3: str  # "" where this Python's OpenSSL has no SM3
    content: bytes  # of the manifest and the seal only


def wrong(code: str, item: str, zh: str, en: str) -> NoReturn:
    """Give up: it is tampered with or was never a pack."""
    raise Stop(Finding(WRONG, code, item, zh, en))


# --- the zip: every byte as the deterministic writer would have written it ------------------------------------------

LOCAL = struct.Struct("<IHHHHHIIIHH")
CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
END = struct.Struct("<IHHHHIIH")
FIXED = (20, 0x0800, 0, 0, 0x0021)  # version, UTF-8 names, stored, 1980-01-01 00:00
MADE_BY, MODE = 3 << 8 | 20, 0o100644 << 16  # Unix, a plain file: no links
DEVICES = re.compile(r"(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$")


def read_zip(file: BinaryIO, size: int, findings: list[Finding]) -> list[Entry]:
    """Read all entries in one pass; memory does not grow with their sizes."""
    entries: list[Entry] = []
    while True:
        offset = file.tell()
        head = file.read(4)
        if head != b"PK\x03\x04":
            file.seek(offset)
            break
        if len(entries) >= MAX_ENTRIES:
            wrong("zip.entries", "zip", f"文件数超过上限 {MAX_ENTRIES}", f"more than {MAX_ENTRIES} files")
        entry, crc = read_entry(file, offset, size, entries[-1].path if entries else "")
        if crc != entry.crc:
            findings.append(
                Finding(WRONG, "zip.crc", entry.path, "内容与 CRC-32 不符", "the contents do not match their CRC-32")
            )
        entries.append(entry)
    check_directory(file, entries)
    return entries


def read_entry(file: BinaryIO, offset: int, size: int, previous: str) -> tuple[Entry, int]:
    """Read one local header and its contents; give the entry and the CRC-32 of what was read."""
    file.seek(offset)
    raw = file.read(LOCAL.size)
    place = f"offset {offset}"
    if len(raw) < LOCAL.size:
        wrong("zip.truncated", place, "证据包被截断", "the pack is cut off")
    fields = LOCAL.unpack(raw)
    crc, packed, length, name_length, extra = fields[6:]
    if fields[1:6] != FIXED or packed != length or extra or not 0 < name_length <= MAX_PATH:
        wrong("zip.header", place, "压缩包文件头被改动", "a file header was changed")
    path = read_path(file.read(name_length), place)
    if path.encode() <= previous.encode():
        wrong("zip.order", path, "文件次序不对或重复", "files are out of order, or one is there twice")
    if file.tell() + length > size:
        wrong("zip.truncated", path, "声明的大小超出证据包", "its size passes the end of the pack")
    return digest(file, path, offset, crc, length)


def read_path(name: bytes, place: str) -> str:
    """Decode a name and refuse what could leave the folder it is unpacked into, or hide in it."""
    try:
        path = name.decode("utf-8")
    except UnicodeDecodeError:
        wrong("zip.name", place, "文件名不是 UTF-8", "a file name is not UTF-8")
    parts = path.split("/")
    if (
        unicodedata.normalize("NFC", path) != path
        or any(unicodedata.category(char)[0] == "C" or char in '<>:"|?*\\' for char in path)
        or any(part in ("", ".", "..") or part[-1] in ". " or part[0] == " " or DEVICES.match(part) for part in parts)
    ):
        wrong("zip.name", ascii(path), "文件名不安全", "the file name is unsafe")
    return path


def digest(file: BinaryIO, path: str, offset: int, crc: int, length: int) -> tuple[Entry, int]:
    """Hash the next ``length`` bytes."""
    sha256, sm3, found, left = hashlib.sha256(), new_sm3(), 0, length
    kept = bytearray()
    if length > KEPT.get(path, length):
        wrong("zip.size", path, "文件过大", "the file is too large for what it is")
    while left:
        chunk = file.read(min(left, CHUNK))
        if not chunk:
            wrong("zip.truncated", path, "证据包被截断", "the pack is cut off")
        left -= len(chunk)
        found = zlib.crc32(chunk, found)
        sha256.update(chunk)
        if sm3 is not None:
            sm3.update(chunk)
        if path in KEPT:
            kept += chunk
    national = sm3.hexdigest() if sm3 is not None else ""
    return Entry(path, length, crc, offset, sha256.hexdigest(), national, bytes(kept)), found


def new_sm3() -> Any:  # noqa: ANN401 - hashlib's own type has no public name
    """Give an SM3 hash (GB/T 32905), or None where OpenSSL lacks it."""
    try:
        return hashlib.new("sm3")
    except ValueError:
        return None


def check_directory(file: BinaryIO, entries: Sequence[Entry]) -> None:
    """Compare the rest of the file with the central directory that belongs to the entries, byte for byte."""
    start, expected = file.tell(), bytearray()
    for entry in entries:
        name = entry.path.encode()
        frame = (MADE_BY, *FIXED, entry.crc, entry.size, entry.size, len(name), 0, 0, 0, 0, MODE, entry.offset)
        expected += CENTRAL.pack(0x02014B50, *frame) + name
    expected += END.pack(0x06054B50, 0, 0, len(entries), len(entries), len(expected), start, 0)
    actual = file.read(len(expected) + 1)
    if actual != expected:
        at = next((i for i, byte in enumerate(actual) if expected[i : i + 1] != bytes([byte])), len(actual))
        place = f"offset {start + at}"
        wrong(
            "zip.directory",
            place,
            "压缩包目录被改动、截断，或其后有多余数据",
            "the zip directory was changed or cut, or data follow it",
        )


# --- the manifest: RFC 8785 -------------------------------------------------------------------------------------------


def read_manifest(data: bytes) -> dict[str, Any]:
    """Parse the manifest and insist on its canonical bytes; depth and number of values are bounded before parsing."""
    bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data)
    depth = 0
    for bracket in re.findall(rb"[\[{\]}]", bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            wrong("manifest.deep", MANIFEST, "清单嵌套过深", "the manifest is nested too deeply")
    if len(re.findall(rb"[\[{,]", bare)) > MAX_VALUES:
        wrong("manifest.large", MANIFEST, "清单内容过多", "the manifest holds too many values")
    try:
        manifest = json.loads(data.decode("utf-8"), parse_float=no_number, parse_int=integer, parse_constant=no_number)
        canonical = canonical_json(manifest)
    except (ValueError, RecursionError) as error:
        wrong("manifest.json", MANIFEST, f"清单无法解析：{error}", f"the manifest cannot be parsed: {error}")
    if canonical != data or not isinstance(manifest, dict):
        wrong("manifest.canonical", MANIFEST, "清单不是 RFC 8785 规范形式", "the manifest is not in its RFC 8785 form")
    return manifest


def no_number(text: str) -> NoReturn:
    """Refuse floats: two programs may read two numbers."""
    raise ValueError(f"number {text[:20]}")


def integer(text: str) -> int:
    """Read an integer that every program reads the same way."""
    if len(text) > INTEGER_DIGITS or abs(int(text)) >= 2**53:
        no_number(text)
    return int(text)


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - JSON data
    """Give the RFC 8785 form: keys in the order of their UTF-16 code units, no white space, shortest escapes."""
    return json.dumps(in_order(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def in_order(value: Any) -> Any:  # noqa: ANN401 - JSON data
    """Sort the keys of every object."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    if isinstance(value, list):
        return [in_order(part) for part in value]
    return value


def check_form(manifest: dict[str, Any]) -> None:
    """Check that the parts of the manifest that are read below are of their types."""
    if manifest.get("format") != FORMAT:
        wrong(
            "manifest.format",
            MANIFEST,
            f"清单格式不是 {FORMAT}，请使用相应版本的验证程序",
            f"the format is not {FORMAT}",
        )
    files, tree = manifest.get("files"), manifest.get("merkle")
    texts = [manifest.get("packed_at"), manifest.get("previous")]
    good = isinstance(files, list) and isinstance(tree, dict) and all(isinstance(text, str) for text in texts)
    if not good or not all(is_description(item) for item in manifest["files"]):
        wrong("manifest.form", MANIFEST, "清单缺少必要内容", "the manifest lacks something it must have")


def is_description(item: Any) -> bool:  # noqa: ANN401 - JSON data
    """Say whether a line of the list of files has what is compared below."""
    kinds = (("path", str), ("size", int), ("sha256", str), ("sm3", str))
    return isinstance(item, dict) and all(isinstance(item.get(key), kind) for key, kind in kinds)


def check_files(manifest: dict[str, Any], entries: Sequence[Entry], findings: list[Finding]) -> None:
    """Compare the manifest's list with the files that are there: none missing, none added, none changed."""
    present = {entry.path: entry for entry in entries if entry.path not in UNLISTED}
    listed = [item["path"] for item in manifest["files"]]
    known = set(listed)
    if sorted(known, key=encoded) != listed:
        findings.append(
            Finding(
                WRONG,
                "files.order",
                MANIFEST,
                "清单中的文件次序不对或重复",
                "the list of files is out of order or repeats one",
            )
        )
    findings.extend(
        Finding(WRONG, "files.unlisted", path, "清单中没有该文件", "the file is not in the manifest")
        for path in present
        if path not in known
    )
    for item in manifest["files"]:
        entry = present.get(item["path"])
        if entry is None:
            findings.append(Finding(WRONG, "files.missing", item["path"], "文件缺失", "the file is missing"))
        else:
            findings.extend(compare(item, entry))


def encoded(text: str) -> bytes:
    """Give the bytes that paths are sorted by."""
    return text.encode("utf-8", "surrogatepass")


def compare(item: dict[str, Any], entry: Entry) -> list[Finding]:
    """Compare one file with its line of the manifest."""
    pairs = [("SHA-256", item["sha256"], entry.sha256), ("SM3", item["sm3"], entry.sm3 or item["sm3"])]
    pairs.append(("size", str(item["size"]), str(entry.size)))
    return [
        Finding(
            WRONG,
            "files." + what.lower().replace("-", ""),
            entry.path,
            f"{what} 不符：清单为 {listed[:64]}，实际为 {found}",
            f"{what} differs: the manifest says {listed[:64]}, the file has {found}",
        )
        for what, listed, found in pairs
        if listed != found
    ]


def check_tree(manifest: dict[str, Any], findings: list[Finding]) -> None:
    """Recompute the Merkle root over the canonical descriptions of the files (RFC 6962 section 2.1)."""
    level = [hashlib.sha256(b"\0" + canonical_json(item)).digest() for item in manifest["files"]]
    count = len(level)
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\1" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    root = level[0] if level else hashlib.sha256(b"").digest()
    tree = manifest["merkle"]
    if (tree.get("algorithm"), tree.get("leaves"), tree.get("root")) != ("rfc6962-sha256", count, root.hex()):
        findings.append(Finding(WRONG, "merkle", MANIFEST, "默克尔树根不符", "the Merkle root differs"))


# --- P-256 (FIPS 186-5, SEC 1): verification handles no secret, so plain integers do ----------------------------------

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def add(left: Point, right: Point) -> Point:
    """Add two points of the curve; None is the point at infinity."""
    if left is None or right is None:
        return right if left is None else left
    if left[0] == right[0]:
        if (left[1] + right[1]) % P == 0:
            return None
        slope = (3 * left[0] * left[0] - 3) * pow(2 * left[1], -1, P) % P
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, P) % P
    x = (slope * slope - left[0] - right[0]) % P
    return x, (slope * (left[0] - x) - left[1]) % P


def verify_signature(key: tuple[int, int], signature: bytes, data: bytes, *, low: bool) -> bool:
    """Verify ECDSA with SHA-256; ``low`` insists on the lower of the two values of s that verify."""
    numbers = Der(signature).one(0x30)
    r, s = numbers.integer(), numbers.integer()
    numbers.end()
    if not (0 < r < N and 0 < s < N) or (low and s > N // 2):
        return False
    inverse = pow(s, -1, N)
    u = int.from_bytes(hashlib.sha256(data).digest(), "big") * inverse % N
    v = r * inverse % N
    both = add(G, key)
    point: Point = None
    for bit in range(255, -1, -1):
        point = add(point, point)
        chosen = (u >> bit & 1, v >> bit & 1)
        point = add(point, (None, key, G, both)[chosen[0] * 2 + chosen[1]])
    return point is not None and point[0] % N == r


# --- DER (X.690) and certificates (RFC 5280) --------------------------------------------------------------------------


class MalformedError(ValueError):
    """Not the DER that it should be."""


class Der:
    """A strict reader of DER: definite, minimal lengths and single-byte tags only."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def more(self) -> bool:
        """Say whether anything is left."""
        return self.at < len(self.data)

    def end(self) -> None:
        """Insist that nothing is left."""
        if self.more():
            raise MalformedError("trailing data")

    def peek(self) -> int:
        """Give the next tag, -1 at the end."""
        return self.data[self.at] if self.more() else -1

    def raw(self, tag: int) -> tuple[bytes, bytes]:
        """Read one element; give (the whole element, its contents)."""
        start, data = self.at, self.data
        if self.peek() != tag or start + 2 > len(data):
            raise MalformedError(f"tag {tag:02x} expected")
        length, body = data[start + 1], start + 2
        if length >= LONG:
            count = length & 0x7F
            body += count
            length = int.from_bytes(data[start + 2 : body], "big")
            if count not in LENGTH_BYTES or length < LONG or length < 1 << 8 * (count - 1):
                raise MalformedError("length")
        if body + length > len(data):
            raise MalformedError("cut off")
        self.at = body + length
        return data[start : self.at], data[body : self.at]

    def read(self, tag: int) -> bytes:
        """Read one element's contents."""
        return self.raw(tag)[1]

    def inner(self, tag: int) -> Der:
        """Read one element and give a reader of its contents."""
        return Der(self.read(tag))

    def one(self, tag: int) -> Der:
        """Read the only element."""
        inside = self.inner(tag)
        self.end()
        return inside

    def integer(self) -> int:
        """Read an INTEGER in its shortest form."""
        body = self.read(0x02)
        if not body or (len(body) > 1 and body[0] in (0, 0xFF) and (body[0] ^ body[1]) < LONG):
            raise MalformedError("integer")
        return int.from_bytes(body, "big", signed=True)


ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
P256_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED = (bytes.fromhex(f"551d{arc:02x}") for arc in (19, 15, 37))
DOCUMENT_SIGNING = bytes.fromhex("2b06010505070324")  # id-kp-documentSigning, RFC 9336
UNDERSTOOD = (BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED)


class Certificate:
    """A certificate with a P-256 key, signed with ECDSA and SHA-256; anything else is malformed here."""

    def __init__(self, der: bytes) -> None:
        self.der = der
        self.fingerprint = hashlib.sha256(der).hexdigest()
        outer = Der(der).one(0x30)
        self.tbs, tbs = outer.raw(0x30)
        algorithm, signature = outer.raw(0x30)[0], outer.read(0x03)
        outer.end()
        self.signature = signature[1:]
        body = Der(tbs)
        if body.read(0xA0) != b"\x02\x01\x02" or signature[:1] != b"\0":
            raise MalformedError("version")
        self.serial = body.integer()
        inner_algorithm = body.raw(0x30)[0]
        self.issuer = body.raw(0x30)[0]
        validity = body.inner(0x30)
        self.not_before, self.not_after = read_time(validity), read_time(validity)
        validity.end()
        self.subject = body.raw(0x30)[0]
        self.key = read_key(body.raw(0x30)[0])
        self.extensions = read_extensions(body.inner(0xA3))
        body.end()
        if not algorithm == inner_algorithm == ECDSA_SHA256:
            raise MalformedError("signature algorithm")
        self.authority, self.path_length = self.constraints()

    def constraints(self) -> tuple[bool, int | None]:
        """Read basicConstraints: (is an authority, path length)."""
        if BASIC_CONSTRAINTS not in self.extensions:
            return False, None
        inside = Der(self.extensions[BASIC_CONSTRAINTS]).one(0x30)
        authority = inside.peek() == 0x01 and inside.read(0x01) == b"\xff"
        length = inside.integer() if inside.more() else None
        inside.end()
        return authority, length

    def may(self, bit: int) -> bool:
        """Say whether keyUsage has a bit: 0 digitalSignature, 5 keyCertSign."""
        usage = Der(self.extensions.get(KEY_USAGE, b"\x03\x02\x07\x00")).read(0x03)
        return len(usage) > 1 and bool(usage[1] & 0x80 >> bit)

    def purposes(self) -> list[bytes]:
        """Read extendedKeyUsage."""
        inside = Der(self.extensions.get(EXTENDED, b"\x30\x00")).one(0x30)
        found = []
        while inside.more():
            found.append(inside.read(0x06))
        return found

    def names(self) -> str:
        """Give the subject's values for people."""
        values = []
        name = Der(self.subject).one(0x30)
        while name.more():
            pair = name.inner(0x31).inner(0x30)
            pair.read(0x06)
            values.append(pair.read(pair.peek()).decode("utf-8", "replace"))
        return ", ".join(values)

    def signed_by(self, issuer: Certificate) -> bool:
        """Verify this certificate's signature with the issuer's key."""
        return self.issuer == issuer.subject and verify_signature(issuer.key, self.signature, self.tbs, low=False)


def read_time(body: Der) -> datetime:
    """Read UTCTime or GeneralizedTime in the forms of RFC 5280 section 4.1.2.5."""
    tag = body.peek()
    text = body.read(UTC_TIME if tag == UTC_TIME else GENERALIZED_TIME).decode("ascii", "replace")
    if tag == UTC_TIME:
        text = ("20" if text[:2] < "50" else "19") + text
    if not re.match(r"\A[0-9]{14}Z\Z", text):
        raise MalformedError("time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)  # noqa: UP017 - Python 3.8


def read_key(raw: bytes) -> tuple[int, int]:
    """Read an uncompressed P-256 public key and check that it lies on the curve."""
    if raw[: len(P256_KEY)] != P256_KEY or len(raw) != len(P256_KEY) + 64:
        raise MalformedError("not a P-256 key")
    x, y = int.from_bytes(raw[-64:-32], "big"), int.from_bytes(raw[-32:], "big")
    if x >= P or y >= P or (y * y - x * x * x + 3 * x - B) % P:
        raise MalformedError("the key is not on the curve")
    return x, y


def read_extensions(body: Der) -> dict[bytes, bytes]:
    """Read extensions into OID -> value; an unknown critical one is refused, as RFC 5280 section 4.2 demands."""
    found: dict[bytes, bytes] = {}
    items = body.one(0x30)
    while items.more():
        item = items.inner(0x30)
        oid = item.read(0x06)
        critical = item.peek() == 0x01 and item.read(0x01) == b"\xff"
        value = item.read(0x04)
        item.end()
        if oid in found or (critical and oid not in UNDERSTOOD):
            raise MalformedError(f"extension {oid.hex()}")
        found[oid] = value
    return found


def read_chain(pem: bytes) -> list[Certificate]:
    """Read the chain; its text must be exactly what its certificates encode to, so that no byte of it is free."""
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----\n", pem)
    if len(blocks) not in CERTIFICATES:
        raise MalformedError(f"{len(blocks)} certificates")
    ders, text = [base64.b64decode(block) for block in blocks], b""
    for der in ders:
        body = base64.b64encode(der)
        lines = b"".join(body[i : i + 64] + b"\n" for i in range(0, len(body), 64))
        text += b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"
    if text != pem:
        raise MalformedError("the text is not in its one form")
    return [Certificate(der) for der in ders]


def check_chain(chain: Sequence[Certificate], at: datetime, findings: list[Finding]) -> None:
    """Check every certificate at the time of packing, and each link up to the self-signed root."""
    leaf = chain[0]
    if leaf.authority or not leaf.may(0) or DOCUMENT_SIGNING not in leaf.purposes():
        findings.append(
            Finding(
                WRONG,
                "chain.purpose",
                leaf.names(),
                "该证书不是证据签名证书",
                "this certificate is not one for signing evidence",
            )
        )
    for index, certificate in enumerate(chain):
        if not certificate.not_before <= at <= certificate.not_after:
            span = f"{certificate.not_before.isoformat()} - {certificate.not_after.isoformat()}"
            findings.append(
                Finding(
                    WRONG,
                    "chain.validity",
                    certificate.names(),
                    f"封签时证书不在有效期内：{span}",
                    f"it was not valid when the pack was sealed: {span}",
                )
            )
        issuer = chain[min(index + 1, len(chain) - 1)]
        if not certificate.signed_by(issuer):
            findings.append(
                Finding(
                    WRONG,
                    "chain.signature",
                    certificate.names(),
                    "证书签名无效，或颁发者不符",
                    "its signature is invalid or its issuer is another",
                )
            )
        if index and not may_certify(certificate, index - 1):
            findings.append(
                Finding(
                    WRONG,
                    "chain.authority",
                    certificate.names(),
                    "该证书不得签发下级证书",
                    "this certificate may not certify others here",
                )
            )


def may_certify(certificate: Certificate, below: int) -> bool:
    """Say whether a certificate is an authority's and its path length allows so many authorities below it."""
    length = certificate.path_length
    return certificate.authority and certificate.may(5) and (length is None or below <= length)


# --- all together -----------------------------------------------------------------------------------------------------


class Report:
    """What was found out about a pack."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.notes: list[tuple[str, str]] = []
        self.facts: dict[str, Any] = {}

    @property
    def code(self) -> int:
        """Give the exit code: tampering outweighs what could not be verified."""
        levels = {finding.level for finding in self.findings}
        return WRONG if WRONG in levels else OPEN if OPEN in levels else OK

    def open(self, code: str, item: str, zh: str, en: str) -> None:
        """Add something that could not be verified."""
        self.findings.append(Finding(OPEN, code, item, zh, en))

    def wrong(self, code: str, item: str, zh: str, en: str) -> None:
        """Add something that is wrong."""
        self.findings.append(Finding(WRONG, code, item, zh, en))


def verify(path: str, roots: Sequence[str] = (), *, previous: str | None = None, name: str | None = None) -> Report:
    """Verify the pack at ``path``.

    ``roots`` are SHA-256 fingerprints of trusted root certificates, beside those stamped into this file; ``previous``
    and ``name`` are manifest hashes that the pack before this one, and this one, must have.
    """
    report = Report()
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path as it came from the command line
            size = file.seek(0, 2)
            file.seek(0)
            entries = read_zip(file, size, report.findings)
    except OSError as error:
        report.open("unreadable", str(path), f"无法读取：{error}", f"it cannot be read: {error}")
        return report
    except Stop as stop:
        report.findings.append(stop.finding)
        return report
    try:
        check_contents({entry.path: entry for entry in entries}, entries, roots, report)
    except Stop as stop:
        report.findings.append(stop.finding)
    check_expected(report, previous, name)
    return report


def check_contents(by_path: dict[str, Entry], entries: Sequence[Entry], roots: Sequence[str], report: Report) -> None:
    """Check manifest, files, tree and seal."""
    if MANIFEST not in by_path:
        wrong("manifest.missing", MANIFEST, "没有清单", "there is no manifest")
    data = by_path[MANIFEST].content
    manifest = read_manifest(data)
    check_form(manifest)
    report.facts = {
        key: manifest.get(key) for key in ("packed_at", "window", "tenants", "scope", "versions", "previous")
    }
    report.facts.update(manifest_sha256=by_path[MANIFEST].sha256, files=len(manifest["files"]))
    for key in ("gaps", "redactions"):
        report.facts[key] = manifest.get(key)
    check_files(manifest, entries, report.findings)
    check_tree(manifest, report.findings)
    if not by_path[MANIFEST].sm3:
        report.notes.append(("此处 OpenSSL 不支持 SM3，仅核对了 SHA-256", "no SM3 here; only SHA-256 was checked"))
    missing = [part for part in (SIGNATURE, CHAIN) if part not in by_path]
    for part in missing:
        report.open(
            "seal.missing", part, "证据包没有封签，不能证明来源", "the pack is not sealed: nothing proves whose it is"
        )
    if not missing:
        check_seal(manifest, data, by_path, roots, report)


def check_seal(
    manifest: dict[str, Any], data: bytes, by_path: dict[str, Entry], roots: Sequence[str], report: Report
) -> None:
    """Check signature, chain and trust anchor."""
    try:
        chain = read_chain(by_path[CHAIN].content)
        at = datetime.strptime(manifest["packed_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)  # noqa: UP017 - Python 3.8
        check_chain(chain, at, report.findings)
    except (ValueError, binascii.Error) as error:
        wrong("chain.malformed", CHAIN, f"证书链无法解析：{error}", f"the certificate chain cannot be read: {error}")
    try:
        sealed = verify_signature(chain[0].key, by_path[SIGNATURE].content, data, low=True)
    except ValueError:
        sealed = False
    if not sealed:
        report.wrong("seal.signature", SIGNATURE, "清单的签名无效", "the signature over the manifest is invalid")
    report.facts.update(signer=chain[0].names(), root=chain[-1].names(), root_sha256=chain[-1].fingerprint)
    check_anchor(chain[-1], [root.lower().replace(":", "") for root in (*ROOTS, *roots)], report)


def check_anchor(root: Certificate, trusted: Sequence[str], report: Report) -> None:
    """Compare the root of the chain with those that the caller trusts."""
    if not trusted:
        report.open(
            "anchor.none",
            root.names(),
            f"未给出信任锚；请向建设单位核对根证书指纹后用 --root 指定。包内根证书为 {root.fingerprint}",
            f"no trust anchor: ask the operator for the root's fingerprint and give it with --root; the pack's own root has {root.fingerprint}",
        )
    elif root.fingerprint not in trusted:
        report.wrong(
            "anchor.other",
            root.names(),
            f"根证书 {root.fingerprint} 不是受信任的根：该包由他人封签",
            f"the root {root.fingerprint} is not the trusted one: somebody else sealed this pack",
        )


def check_expected(report: Report, previous: str | None, name: str | None) -> None:
    """Compare the pack with what the caller knows of the series: an older pack in its place shows here."""
    for key, expected in (("previous", previous), ("manifest_sha256", name)):
        found = report.facts.get(key)
        if expected is not None and found is not None and found != expected.lower():
            what = {"previous": "上一包的清单哈希", "manifest_sha256": "清单哈希"}[key]
            report.wrong(
                f"series.{key}",
                MANIFEST,
                f"{what}为 {found}，应为 {expected}",
                f"{key} is {found}, not {expected}",
            )


def clean(text: str) -> str:
    """Make text from a pack safe for a terminal."""
    return "".join(char if unicodedata.category(char)[0] != "C" else ascii(char)[1:-1] for char in text[:400])


def show(report: Report, path: str) -> None:
    """Print the report for people."""
    facts = report.facts
    print(f"证据包 pack: {clean(path)}")
    for key in (
        "manifest_sha256",
        "packed_at",
        "tenants",
        "scope",
        "files",
        "previous",
        "signer",
        "root",
        "root_sha256",
    ):
        if facts.get(key):
            value = facts[key]
            print(f"  {key}: {clean(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))}")
    for finding in report.findings[:MAX_SHOWN]:
        mark = "错误 WRONG" if finding.level == WRONG else "未验证 NOT VERIFIED"
        print(f"{mark} [{finding.code}] {clean(finding.item)}\n  {clean(finding.zh)}\n  {clean(finding.en)}")
    if len(report.findings) > MAX_SHOWN:
        print(f"… {len(report.findings) - MAX_SHOWN}")
    for zh, en in report.notes:
        print(f"注 note: {zh} / {en}")
    print(
        {
            OK: "结论：验证通过，内容完整且封签有效 / VERIFIED: the contents are whole and the seal is valid",
            WRONG: "结论：验证不通过，内容被改动或不符 / FAILED: something was changed or is wrong",
            OPEN: "结论：无法验证，不等于通过 / NOT VERIFIED: this is not a pass",
        }[report.code]
    )


def as_json(report: Report, path: str) -> dict[str, Any]:
    """Give the report for programs."""
    return {
        "pack": path,
        "result": {OK: "verified", WRONG: "tampered", OPEN: "not verified"}[report.code],
        "exit": report.code,
        "findings": [finding._asdict() for finding in report.findings[:1000]],
        "notes": [{"zh": zh, "en": en} for zh, en in report.notes],
        **report.facts,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code."""
    parser = argparse.ArgumentParser(description="验证证据包 / verify an evidence pack")
    parser.add_argument("pack", help="证据包 / the pack, a .zip file")
    parser.add_argument(
        "--root", action="append", default=[], help="受信任根证书的 SHA-256 / SHA-256 of a trusted root"
    )
    parser.add_argument("--previous", help="上一包的清单 SHA-256 / manifest SHA-256 of the pack before")
    parser.add_argument("--manifest", help="应有的清单 SHA-256 / manifest SHA-256 that this pack must have")
    parser.add_argument("--json", action="store_true", help="JSON 输出 / JSON output")
    asked = parser.parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    report = verify(asked.pack, asked.root, previous=asked.previous, name=asked.manifest)
    if asked.json:
        print(json.dumps(as_json(report, asked.pack), ensure_ascii=False, indent=2))
    else:
        show(report, asked.pack)
    return report.code


if __name__ == "__main__":
    sys.exit(main())
