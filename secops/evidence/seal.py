"""The canonical manifest and the seal over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import rfc8785

if TYPE_CHECKING:
    from collections.abc import Mapping


class Signed(Protocol):
    """What a signer gives back; ``ca.authority.ManifestSignature`` is one."""

    @property
    def signature(self) -> bytes:
        """DER ECDSA P-256 with SHA-256 over the exact bytes that were handed in."""
        ...

    @property
    def chain_pem(self) -> bytes:
        """Evidence certificate first, root last."""
        ...


@dataclass(frozen=True, slots=True)
class Seal:
    """A signature over the manifest's bytes, and the chain that says whose it is."""

    signature: bytes  # DER ECDSA-Sig-Value, P-256, SHA-256, low s
    chain_pem: bytes


def canonical(manifest: Mapping[str, Any]) -> bytes:
    """Give the RFC 8785 form of a manifest, which holds text, integers, booleans, null, lists and objects only.

    Raises:
        ValueError: a float, or an integer beyond 2**53 - 1: other programs would read another number.
    """
    return rfc8785.dumps(dict(manifest))
