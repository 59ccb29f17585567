"""What was given out: codes and tokens, as rows. Each is spent by one UPDATE, so two requests cannot both win."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from identity.oidc.tables import ClientSessionRow, CodeRow, TokenRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

Grant: TypeAlias = CodeRow | TokenRow
Row = TypeVar("Row", CodeRow, TokenRow)


def digest(secret: str) -> str:
    """Give what is stored of a code or token: 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find_code(tx: Session, code: str, client_id: str) -> CodeRow | None:
    """Give the code, spent or not, if it was issued to this client; another client's code is as unknown as none."""
    return _of_client(tx.get(CodeRow, digest(code)), client_id)


def find_token(tx: Session, token: str) -> TokenRow | None:
    """Give the access or refresh token, live or not."""
    return tx.get(TokenRow, digest(token))


def find_refresh(tx: Session, token: str, client_id: str) -> TokenRow | None:
    """Give the refresh token, spent or not, if it was issued to this client."""
    row = _of_client(find_token(tx, token), client_id)
    return row if row is not None and row.kind == "refresh" else None


def _of_client(row: Row | None, client_id: str) -> Row | None:
    return row if row is not None and row.client_id == client_id else None


def session_of(tx: Session, code: str, refresh_token: str) -> str:
    """Give the login that a code or refresh token came from, without judging either; "" when there is none."""
    row = tx.get(CodeRow, digest(code)) if code else find_token(tx, refresh_token)
    return row.session_id if row is not None else ""


def live(row: Grant, now: datetime) -> bool:
    """Tell whether a code or token still counts: not revoked, not over its time."""
    return row.revoked_at is None and now < row.expires_at


def spend(tx: Session, row: Grant, now: datetime) -> bool:
    """Mark a code or refresh token used; False when it was used before, by whichever request came first."""
    hold(tx, row.code_sha256 if isinstance(row, CodeRow) else row.family)
    kind = type(row)
    key = kind.__mapper__.primary_key[0]
    identity = row.code_sha256 if isinstance(row, CodeRow) else row.token_sha256
    statement = sa.update(kind).where(key == identity, kind.used_at.is_(None)).values(used_at=now)
    done = tx.execute(statement, execution_options={"synchronize_session": False})
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]  # an UPDATE gives a CursorResult


def revoke_family(tx: Session, family: str, now: datetime) -> int:
    """Revoke a code and every token that descends from it; give how many rows changed."""
    hold(tx, family)
    return _revoke(tx, now, CodeRow.code_sha256 == family, TokenRow.family == family)


def hold(tx: Session, family: str) -> None:
    """Make requests about one family wait for one another: code first, then its tokens, so that none deadlocks.

    SQLite has one writer anyway and ignores the lock.
    """
    tx.execute(sa.select(CodeRow.code_sha256).where(CodeRow.code_sha256 == family).with_for_update())


def revoke_session(tx: Session, session_id: str, now: datetime) -> int:
    """Revoke every code and token of a login; give how many rows changed."""
    return _revoke(tx, now, CodeRow.session_id == session_id, TokenRow.session_id == session_id)


def _revoke(tx: Session, now: datetime, codes: sa.ColumnElement[bool], tokens: sa.ColumnElement[bool]) -> int:
    changed = 0
    for kind, which in ((CodeRow, codes), (TokenRow, tokens)):
        statement = sa.update(kind).where(which, kind.revoked_at.is_(None)).values(revoked_at=now)
        changed += tx.execute(statement).rowcount  # type: ignore[attr-defined]  # an UPDATE gives a CursorResult
    return changed


def remember_client(tx: Session, code: CodeRow) -> None:
    """Note that the client was told of this login, so that it is told of its end."""
    insert = postgresql.insert if tx.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {
        "session_id": code.session_id,
        "client_id": code.client_id,
        "account_id": code.account_id,
        "created_at": code.issued_at,
        "expires_at": code.session_expires_at,
    }
    tx.execute(insert(ClientSessionRow).values(values).on_conflict_do_nothing())


def clients_of(tx: Session, session_id: str) -> list[ClientSessionRow]:
    """Give who was told of a login."""
    chosen = sa.select(ClientSessionRow).where(ClientSessionRow.session_id == session_id)
    return list(tx.scalars(chosen.order_by(ClientSessionRow.client_id)))


def purge(tx: Session, before: datetime) -> int:
    """Delete what expired before ``before`` (keep a day, so that a replayed code still finds what to revoke)."""
    gone = 0
    for kind in (CodeRow, TokenRow, ClientSessionRow):
        statement = sa.delete(kind).where(kind.expires_at < before)
        gone += tx.execute(statement).rowcount  # type: ignore[attr-defined]  # a DELETE gives a CursorResult
    return gone
