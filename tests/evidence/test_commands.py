"""The commands, each in a process of its own over one state folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Secops = Callable[..., Any]


@pytest.fixture
def secops(tmp_path: Path) -> Secops:
    def run(*arguments: object, code: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "secops", *map(str, arguments), "--json"],
            cwd=tmp_path, env={**os.environ, "SECOPS_STATE": str(tmp_path / "var")},
            capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else done.stderr

    return run


@pytest.mark.process
def test_from_an_empty_folder_to_a_verified_pack(tmp_path: Path, secops: Secops) -> None:
    assert "secops serve" in secops("ca", "show", code=2)
    shown = secops("ca", "init")
    assert secops("ca", "init")["root"]["sha256"] == shown["root"]["sha256"]
    secops("person", "add", "zhang", "--name", "张三", "--role", "security_officer")

    issued = secops("ca", "issue", "--person", "zhang", "--out", tmp_path / "zhang.p12")
    assert issued["password"]
    assert (tmp_path / "zhang.p12").stat().st_mode & 0o777 == 0o600
    assert "cannot be made" in secops("ca", "issue", "--person", "zhang", "--out", tmp_path / "zhang.p12", code=2)
    assert "secops" not in secops("ca", "issue", "--person", "nobody", "--out", tmp_path / "n.p12", code=2)
    assert not (tmp_path / "n.p12").exists()
    assert secops("ca", "revoke", issued["serial"], "--reason", "keyCompromise")["reason"] == "keyCompromise"
    assert {row["state"] for row in secops("ca", "list", "--search", "张三")} == {"revoked"}
    assert secops("ca", "crl", "--out", tmp_path / "issuing.crl")["entries"] == 1

    span = ("--from", "2026-01-01", "--to", "2026-01-02")
    assert "--alert" in secops("evidence", "build", "--out", tmp_path / "p.zip", code=2)
    built = secops("evidence", "build", "--out", tmp_path / "p.zip", *span)
    following = secops("evidence", "build", "--out", tmp_path / "q.zip", *span)
    said = secops("evidence", "verify", tmp_path / "q.zip", "--previous", built["manifest_sha256"])
    assert (said["result"], said["manifest_sha256"]) == ("verified", following["manifest_sha256"])
    assert secops("evidence", "verify", tmp_path / "p.zip", "--root", "00" * 32, code=1)["result"] == "tampered"
    assert secops("evidence", "verify", tmp_path / "none.zip", code=2)["result"] == "not verified"

    assert secops("evidence", "verifier", "--out", tmp_path / "verify.py")["roots"] == [shown["root"]["sha256"]]
    content = bytearray((tmp_path / "p.zip").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "flipped.zip").write_bytes(content)
    for name, code in (("p.zip", 0), ("flipped.zip", 1)):
        done = subprocess.run([sys.executable, "-I", "verify.py", name], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == code
