"""The one-file verifier, with the city's root fingerprint written into it."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

from secops.evidence.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLACE = "ROOTS = ()"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def verifier(roots: Sequence[str] = ()) -> bytes:
    """Give ``verify.py`` that trusts the roots with these SHA-256 fingerprints without being told on the command line.

    Raises:
        EvidenceError: a fingerprint is not 64 lower-case hexadecimal digits.
    """
    source = files("secops.evidence").joinpath("verify.py").read_text(encoding="utf-8")
    for root in roots:
        if not _FINGERPRINT.fullmatch(root):
            raise EvidenceError(
                "evidence.root",
                f"根证书指纹 {root[:80]!r} 应为 64 位小写十六进制",
                f"root fingerprint {root[:80]!r} is not 64 lower-case hexadecimal digits",
            )
    if not roots:
        return source.encode()
    inside = ", ".join(f'"{root}"' for root in sorted(set(roots)))
    before, found, after = source.partition(f"\n{_PLACE}")
    if not found:
        raise EvidenceError(
            "evidence.verifier", "验证程序不完整，请重新安装", "the verifier is not whole; install again"
        )
    return f"{before}\nROOTS = ({inside},){after}".encode()
