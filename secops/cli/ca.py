"""``secops ca``: the certificate authority, for the operator at the machine itself.

Whoever can read the state folder can do this; every act is audited as ``cli:<login name of the operating system>``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ca.authority import Issued, Request, Subject
from secops import audit, private_file
from secops.cli.context import (
    ConfigOption,
    JsonOption,
    StateOption,
    emit,
    load_settings,
    open_from,
    operator,
    people_errors,
    table,
)
from secops.errors import UserError

if TYPE_CHECKING:
    from identity.provider import Account
    from secops.wiring import Service

app = typer.Typer(help="证书 / certificates", no_args_is_help=True)


@app.command()
def init(state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """建立根 CA 与签发 CA（已有则不变）/ Make the root and the issuing authority; existing ones stay as they are."""
    from secops import wiring  # noqa: PLC0415 - the other commands open the service by themselves

    settings = load_settings(state, config)
    with people_errors():
        wiring.prepare(settings)
    show(state, config, as_json)


@app.command()
def show(state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """显示根证书指纹、有效期与离线密钥所在 / Show the root's fingerprint, the validity, and where the root key is."""
    with open_from(state, config) as service:
        offline = service.ca_dir / "offline"
        data: dict[str, Any] = {
            "root": _described(service.authority.root_pem()),
            "issuing": _described(service.authority.issuing_pem()),
            "root_key": str(offline) if (offline / "root.key").exists() else None,
        }
        emit(data, as_json, lambda: _shown(data))


def _described(pem: bytes) -> dict[str, Any]:
    certificate = x509.load_pem_x509_certificate(pem)
    return {
        "subject": certificate.subject.rfc4514_string(),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
    }


def _shown(data: dict[str, Any]) -> str:
    lines = []
    for name, title in (("root", "根 CA root"), ("issuing", "签发 CA issuing")):
        part = data[name]
        lines += [f"{title}: {part['subject']}", f"  SHA-256 {part['sha256']}", f"  → {part['not_after']:%Y-%m-%d}"]
    where = data["root_key"]
    lines.append(
        f"根密钥仍在本机 {where}，请移到离线介质 / the root key is still on this machine; move the folder away"
        if where
        else "根密钥已离线 / the root key is offline"
    )
    return "\n".join(lines)


@app.command()
def issue(
    out: Annotated[Path, typer.Option("--out", help="写入的文件：.p12，或给出 --csr 时为 PEM / file to write")],
    person: Annotated[str, typer.Option("--person", help="登录名：个人登录证书 / user name: a login certificate")] = "",
    csr: Annotated[Path | None, typer.Option("--csr", help="PKCS #10 请求 (PEM) / certificate request")] = None,
    dns: Annotated[list[str] | None, typer.Option("--dns", help="服务器域名，可多次 / DNS name, repeatable")] = None,
    ip: Annotated[list[str] | None, typer.Option("--ip", help="服务器 IP，可多次 / IP address, repeatable")] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="有效天数 / lifetime in days")] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """签发个人证书 (--person) 或服务器证书 (--dns/--ip) / Issue a person's or a server's certificate."""
    with open_from(state, config) as service:
        account = _account(service, person) if person else None
        request = Request(
            profile="person" if account else "server",
            subject=_subject(service, account, [*(dns or ()), *(ip or ())]),
            csr_pem=_read(csr) if csr else None,
            dns_names=tuple(dns or ()),
            ip_addresses=tuple(ip or ()),
            days=days,
        )
        issued, password = _issue(service, request, out)
        if account is not None:
            service.identity.bind_certificate(
                account.id, issued.serial, issued.fingerprint_sha256, actor=operator(), now=service.clock()
            )
        _audit(service, "certificate.issue", issued.serial, request.profile)
        data = {"serial": issued.serial, "not_after": issued.not_after, "file": str(out), "password": password}
        secret = f"\n口令（只显示一次）/ password (shown once): {password}" if password else ""
        emit(data, as_json, f"{issued.serial}\n{out}{secret}")


def _account(service: Service, username: str) -> Account:
    account = service.identity.account_by_username(username)
    if account is None:
        raise UserError(
            "account.unknown", f"没有登录名为 {username} 的人员", f"there is no person with user name {username}"
        )
    return account


def _subject(service: Service, account: Account | None, names: list[str]) -> Subject:
    if account is None:
        return Subject(names[0][:64] if names else "")
    organization = service.identity.organization(account.organization_id)
    return Subject(
        account.display_name or account.username, organization.name_zh if organization else "", account_id=account.id
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1 << 20)
    except OSError as error:
        raise UserError(
            "ca.csr", f"无法读取 {path}：{error.strerror}", f"{path} cannot be read: {error.strerror}"
        ) from error


def _issue(service: Service, request: Request, out: Path) -> tuple[Issued, str]:
    """Issue into a file that is opened first: a certificate nobody can be given is not made."""
    who, now = operator().username, service.clock()
    try:
        file = private_file.create(out)
    except OSError as error:
        raise UserError(
            "ca.out", f"无法新建 {out}：{error.strerror}", f"{out} cannot be made: {error.strerror}"
        ) from error
    made = False
    try:
        with file:
            if request.csr_pem is not None:
                issued = service.authority.issue(request, requested_by=who, approved_by=who, now=now)
                content, password = issued.chain_pem, ""
            else:
                issued, content, password = service.authority.issue_pkcs12(
                    request, requested_by=who, approved_by=who, now=now
                )
            file.write(content)
        made = True
    finally:
        if not made:
            out.unlink()
    return issued, password


@app.command()
def revoke(
    serial: Annotated[str, typer.Argument(help="序列号（十六进制）/ serial, hexadecimal")],
    reason: Annotated[str, typer.Option("--reason", help="RFC 5280 原因 / reason, e.g. keyCompromise")] = "unspecified",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """吊销证书，并立即结束以其登录的会话 / Revoke; sessions opened with it end at once."""
    with open_from(state, config) as service:
        now = service.clock()
        found = service.authority.revoke(serial, reason=reason, actor=operator().username, now=now)
        ended = service.identity.end_certificate_sessions(
            found.serial, reason=f"certificate revoked: {reason}", now=now
        )
        _audit(service, "certificate.revoke", found.serial, found.reason)
        data = {"serial": found.serial, "reason": found.reason, "revoked_at": found.revoked_at, "sessions_ended": ended}
        emit(data, as_json, f"已吊销 / revoked: {found.serial} ({found.reason})")


def _audit(service: Service, action: str, serial: str, reason: str) -> None:
    with service.database.begin() as tx:
        audit.record(
            tx,
            at=service.clock(),
            actor=operator().username,
            action=action,
            target=f"certificate:{serial}",
            reason=reason,
        )


@app.command("list")
def list_certificates(
    search: Annotated[str, typer.Option(help="名称、单位或序列号的一部分 / part of a name or serial")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    after: Annotated[str, typer.Option(help="上一页最后的序列号 / last serial of the page before")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """列出证书，新的在前 / List certificates, newest first."""
    with open_from(state, config) as service:
        rows = service.authority.find(search=search, limit=limit, after=after, now=service.clock())
    data = [{name: getattr(row, name) for name in row.__dataclass_fields__} for row in rows]
    text = [[r.serial, r.profile, r.common_name, r.organization, r.state, f"{r.not_after:%Y-%m-%d}"] for r in rows]
    header = ["序列号 serial", "类型 profile", "名称 name", "单位 organisation", "状态 state", "到期 until"]
    emit(data, as_json, lambda: table(text, header))


@app.command()
def crl(
    out: Annotated[Path, typer.Option("--out", help="写入的文件 (DER) / file to write")],
    root: Annotated[
        bool,
        typer.Option("--root", help="重新签发根吊销列表，需离线目录 / sign the root's anew; needs the offline folder"),
    ] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """导出吊销列表 / Write the revocation list."""
    with open_from(state, config) as service:
        now = service.clock()
        der = service.authority.renew_root_crl(now) if root else service.authority.crl(now)
    found = x509.load_der_x509_crl(der)
    try:
        out.write_bytes(der)
    except OSError as error:
        with people_errors():
            raise UserError(
                "ca.out", f"无法写入 {out}：{error.strerror}", f"{out} cannot be written: {error.strerror}"
            ) from error
    number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    data = {"file": str(out), "number": number, "entries": len(found), "next_update": found.next_update_utc}
    emit(data, as_json, f"{out}: CRL {number}, {len(found)} 条 entries, → {found.next_update_utc:%Y-%m-%d %H:%M} UTC")
