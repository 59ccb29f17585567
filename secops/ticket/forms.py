"""What an action's data must say: pure checks that give the cleaned data or a reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from secops.errors import UserError
from secops.ticket.states import ACTIONS
from secops.ticket.targets import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secops.ticket.targets import ResponseTable

TEXT: Final = 4000  # characters of a comment or reason
NAME: Final = 100  # characters of an organisation or duty
CAUSES: Final = ("not_fixed", "recurred")


def check(
    action: str, data: Mapping[str, Any], *, priority: int, table: ResponseTable, now: datetime
) -> dict[str, Any]:
    """Give the data of an action, cleaned and bounded.

    ``priority`` and ``table`` are the ticket's; texts lose NUL and outer blanks, ``until`` becomes RFC 3339 in UTC.

    Raises:
        UserError: ``ticket.data``: a field is unknown, missing or wrong.
    """
    form = ACTIONS[action]
    for name in data:
        if name not in form.needs and name not in form.takes:
            raise _wrong(f"“{name[:40]}”不是此操作的字段", f"{name[:40]!r} is not a field of {action!r}")
    texts = {name: text(value) for name, value in data.items() if value is not None}
    given = {name: value for name, value in texts.items() if value}
    for name in form.needs:
        if name not in given:
            raise _wrong(f"须填写“{name}”", f"{action!r} needs {name!r}")
    clean: dict[str, Any] = dict(given)
    match action:
        case "pause":
            clean["until"] = _until(given["until"], table, now)
        case "priority":
            clean |= {"priority": _priority(given["priority"], priority), "from": priority}
        case "report":
            _duty(given["duty"], table)
        case "reopen":
            clean["cause"] = _cause(given.get("cause", CAUSES[0]))
        case "assign":
            clean["assignee"] = given["assignee"][:NAME]
        case _:
            pass
    return clean


def text(value: object, longest: int = TEXT) -> str:
    """Give a person's text without NUL (PostgreSQL refuses it) and outer blanks.

    Raises:
        UserError: ``ticket.data``: not a text or number, or too long.
    """
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise _wrong("字段须为文字", "a field must be a text")
    clean = str(value).replace("\x00", "").encode("utf-8", "replace").decode().strip()
    if len(clean) > longest:
        raise _wrong(f"文字超过 {longest} 字", f"a text may have {longest} characters at most")
    return clean


def _until(value: str, table: ResponseTable, now: datetime) -> str:
    try:
        until = datetime.fromisoformat(value)
    except ValueError as error:
        raise _wrong("挂起期限须为 RFC 3339 时间", "a pause's 'until' must be an RFC 3339 time") from error
    if until.tzinfo is None:
        raise _wrong("挂起期限须带时区", "a pause's 'until' needs a time zone, for example +08:00")
    if not now < until <= now + table.longest_pause:
        hours = int(table.longest_pause.total_seconds()) // 3600
        raise _wrong(f"挂起期限须在此后 {hours} 小时之内", f"a pause must end within {hours} hours from now")
    return until.astimezone(UTC).isoformat()


def _priority(value: str, present: int) -> int:
    if value not in map(str, PRIORITIES):
        raise _wrong("优先级为 1 到 4", "a priority is 1 to 4")
    if int(value) == present:
        raise _wrong(f"优先级已经是 {present}", f"the priority is {present} already")
    return int(value)


def _duty(value: str, table: ResponseTable) -> None:
    if value not in [duty.id for duty in table.duties]:
        raise _wrong(f"此工单没有法定义务“{value[:NAME]}”", f"this ticket has no statutory duty {value[:NAME]!r}")


def _cause(value: str) -> str:
    if value not in CAUSES:
        raise _wrong("原因为 not_fixed（未修好）或 recurred（再次发生）", "the cause is not_fixed or recurred")
    return value


def _wrong(zh: str, en: str) -> UserError:
    return UserError("ticket.data", zh, en)
