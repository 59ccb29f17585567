"""A ticket's life as a table.

    new ── assign ──> assigned ── answer ──> in_progress ── resolve ──> resolved ── close ──> closed
                          │                   │        ↑                   │                    │
                          └──── on_site ──────┤     resume                 └────── reopen ──────┘
                                              └ pause ─> pending                     └──> in_progress

Everything that is not in the table is refused, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secops.records import TicketState as S


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that people do to a ticket: where it is allowed, where it leads, what it needs."""

    event: str  # the kind of ticket event it leaves behind
    zh: str
    en: str
    allowed: tuple[S, ...]
    leads_to: S | None = None  # None: the state stays
    needs: tuple[str, ...] = ()  # fields of its data that must not be empty
    takes: tuple[str, ...] = ()  # fields it may have


_OPEN: Final = (S.NEW, S.ASSIGNED, S.IN_PROGRESS, S.PENDING)

ACTIONS: Final[dict[str, Action]] = {
    "assign": Action("assigned", "指派", "assign", _OPEN, needs=("assignee",), takes=("reason",)),
    "answer": Action("answered", "响应", "answer", (S.ASSIGNED,), S.IN_PROGRESS, takes=("text",)),
    "on_site": Action("on_site", "到场", "arrive on site", (S.ASSIGNED, S.IN_PROGRESS), S.IN_PROGRESS, takes=("text",)),
    "comment": Action("comment", "留言", "comment", (*_OPEN, S.RESOLVED), needs=("text",)),
    "pause": Action("paused", "挂起", "pause", (S.IN_PROGRESS,), S.PENDING, needs=("reason", "evidence", "until")),
    "resume": Action("resumed", "恢复处理", "resume", (S.PENDING,), S.IN_PROGRESS, takes=("text",)),
    "priority": Action("priority", "调整优先级", "change the priority of", _OPEN, needs=("priority", "reason")),
    "report": Action(
        "reported", "登记法定报告", "record the statutory report of", (*_OPEN, S.RESOLVED), needs=("duty", "reference")
    ),
    "resolve": Action("resolved", "解决", "resolve", (S.ASSIGNED, S.IN_PROGRESS), S.RESOLVED, needs=("resolution",)),
    "reopen": Action(
        "reopened", "重新打开", "reopen", (S.RESOLVED, S.CLOSED), S.IN_PROGRESS, needs=("reason",), takes=("cause",)
    ),
    "close": Action("closed", "关闭", "close", (S.RESOLVED,), S.CLOSED, takes=("reason",)),
}

STATE_ZH: Final[dict[S, str]] = {
    S.NEW: "新建",
    S.ASSIGNED: "已指派",
    S.IN_PROGRESS: "处理中",
    S.PENDING: "已挂起",
    S.RESOLVED: "已解决",
    S.CLOSED: "已关闭",
}


@dataclass(frozen=True, slots=True)
class Step:
    """Whether an action is allowed, where it leads, and why not."""

    allowed: bool
    state: S
    zh: str = ""
    en: str = ""


def step(state: S, action: str) -> Step:
    """Decide one action in one state."""
    known = ACTIONS.get(action)
    if known is None:
        names = ", ".join(ACTIONS)
        return Step(
            False,
            state,
            f"没有“{action[:40]}”这个操作，可用的有：{names}",
            f"there is no action {action[:40]!r}; there are: {names}",
        )
    if state in known.allowed:
        following = S.ASSIGNED if action == "assign" and state is S.NEW else known.leads_to or state
        return Step(True, following)
    where_zh = "、".join(STATE_ZH[s] for s in known.allowed)
    where_en = ", ".join(known.allowed)
    return Step(
        False,
        state,
        f"工单处于“{STATE_ZH[state]}”状态，不能{known.zh}；须处于：{where_zh}",
        f"a ticket that is {state} cannot be handled with {action!r}; it must be: {where_en}",
    )


def allowed(state: S) -> tuple[str, ...]:
    """Give the actions a page offers in a state."""
    return tuple(name for name in ACTIONS if step(state, name).allowed)
