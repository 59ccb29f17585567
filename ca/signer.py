"""The only module that holds private keys.

A sealed key is two files: ``NAME.key``, a PKCS #8 document encrypted under a random passphrase, and
``NAME.passphrase``, both readable by their owner only. Whoever copies one of the two has nothing; the pair must be
guarded by the machine's own access control. A security module (PKCS #11) takes this module's place later.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from ca.errors import CaError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography import x509
    from cryptography.x509 import ocsp


class Signer:
    """A P-256 private key and what may be done with it."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> Signer:
        """Make a key that lives in memory only."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def create(cls, directory: Path, name: str) -> Signer:
        """Make a key and keep it sealed as ``name`` in ``directory``.

        Raises:
            CaError: ``ca.exists``, the key file is there already: a key is never written over.
        """
        if (directory / f"{name}.key").exists():
            raise CaError(
                "ca.exists",
                f"密钥文件 {directory / f'{name}.key'} 已存在，不会覆盖；请先移走旧文件",
                f"the key file {directory / f'{name}.key'} exists and is never written over; move it away first",
            )
        key = ec.generate_private_key(ec.SECP256R1())
        passphrase = secrets.token_urlsafe(32).encode()
        sealed = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )
        write_file(directory / f"{name}.passphrase", passphrase, mode=0o600)
        write_file(directory / f"{name}.key", sealed, mode=0o600)
        return cls(key)

    @classmethod
    def load(cls, directory: Path, name: str) -> Signer:
        """Open the sealed key ``name`` of ``directory``.

        Raises:
            CaError: ``ca.key``, a file is missing, damaged, readable by others, or no P-256 key.
        """
        path = directory / f"{name}.key"
        try:
            passphrase = _private_bytes(directory / f"{name}.passphrase").strip()
            key = serialization.load_pem_private_key(_private_bytes(path), passphrase)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _unusable(path, str(error) or type(error).__name__) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise _unusable(path, "not a P-256 key")
        return cls(key)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Give the public half."""
        return self._key.public_key()

    def certificate(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign a certificate with ECDSA and SHA-256."""
        return builder.sign(self._key, hashes.SHA256())

    def crl(self, builder: x509.CertificateRevocationListBuilder) -> x509.CertificateRevocationList:
        """Sign a revocation list."""
        return builder.sign(self._key, hashes.SHA256())

    def ocsp(self, builder: ocsp.OCSPResponseBuilder) -> ocsp.OCSPResponse:
        """Sign an OCSP response."""
        return builder.sign(self._key, hashes.SHA256())

    def data(self, data: bytes) -> bytes:
        """Sign bytes; deterministic (RFC 6979), so that one manifest has one signature. DER ECDSA-Sig-Value."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))

    def pkcs12(self, friendly_name: str, chain: Sequence[x509.Certificate], password: bytes) -> bytes:
        """Give the key and its chain (own certificate first) as PKCS #12.

        PBES2 with AES-256 and an HMAC-SHA-256 MAC: OpenSSL 1.1 and newer, NSS (Firefox, Chromium on Linux) and
        Windows 10 1709 and newer read it; the 40-bit ciphers that still older readers want are not offered.
        """
        encryption = (
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(100_000)
            .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
            .hmac_hash(hashes.SHA256())
            .build(password)
        )
        return pkcs12.serialize_key_and_certificates(
            friendly_name.encode(), self._key, chain[0], list(chain[1:]), encryption
        )

    def write_plain(self, path: Path) -> None:
        """Write the key unencrypted and readable by its owner only, for a TLS server that must start by itself."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_file(path, pem, mode=0o600)

    @classmethod
    def load_plain(cls, path: Path) -> Signer:
        """Open what ``write_plain`` wrote.

        Raises:
            CaError: ``ca.key``.
        """
        try:
            key = serialization.load_pem_private_key(_private_bytes(path), None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _unusable(path, str(error) or type(error).__name__) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise _unusable(path, "not an elliptic curve key")
        return cls(key)


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file whole or not at all: beside it, synced, then renamed into place."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private_bytes(path: Path) -> bytes:
    """Read a file that nobody else may read; a loose mode is refused, as ssh does."""
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} is open to other users; run: chmod 600 {path}")
    return path.read_bytes()


def _unusable(path: Path, why: str) -> CaError:
    return CaError(
        "ca.key",
        f"无法使用密钥文件 {path}：{why}；请从备份恢复该文件及同目录的 .passphrase 文件",
        f"the key file {path} cannot be used: {why}; restore it and the .passphrase file beside it from a backup",
    )
