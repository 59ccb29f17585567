from __future__ import annotations

import pytest

from secops.records import TicketState as S
from secops.ticket.states import ACTIONS, STATE_ZH, allowed, step

LIFE = [
    (S.NEW, "assign", S.ASSIGNED),
    (S.ASSIGNED, "answer", S.IN_PROGRESS),
    (S.ASSIGNED, "on_site", S.IN_PROGRESS),
    (S.ASSIGNED, "assign", S.ASSIGNED),
    (S.IN_PROGRESS, "assign", S.IN_PROGRESS),
    (S.IN_PROGRESS, "pause", S.PENDING),
    (S.PENDING, "resume", S.IN_PROGRESS),
    (S.PENDING, "comment", S.PENDING),
    (S.IN_PROGRESS, "resolve", S.RESOLVED),
    (S.ASSIGNED, "resolve", S.RESOLVED),
    (S.RESOLVED, "reopen", S.IN_PROGRESS),
    (S.RESOLVED, "close", S.CLOSED),
    (S.CLOSED, "reopen", S.IN_PROGRESS),
]
REFUSED = [
    (S.NEW, "answer"),
    (S.NEW, "resolve"),
    (S.PENDING, "resolve"),
    (S.PENDING, "pause"),
    (S.IN_PROGRESS, "resume"),
    (S.IN_PROGRESS, "close"),
    (S.RESOLVED, "resolve"),
    (S.RESOLVED, "priority"),
    (S.CLOSED, "comment"),
    (S.CLOSED, "assign"),
]


@pytest.mark.parametrize(("state", "action", "following"), LIFE)
def test_what_is_allowed_leads_where_the_drawing_says(state: S, action: str, following: S) -> None:
    decision = step(state, action)
    assert (decision.allowed, decision.state) == (True, following)


@pytest.mark.parametrize(("state", "action"), REFUSED)
def test_what_is_refused_says_why_in_both_languages(state: S, action: str) -> None:
    decision = step(state, action)
    assert (decision.allowed, decision.state) == (False, state)
    assert STATE_ZH[state] in decision.zh
    assert state.value in decision.en


def test_an_unknown_action_names_the_known_ones() -> None:
    decision = step(S.NEW, "explode")
    assert not decision.allowed
    assert all(name in decision.en for name in ACTIONS)


def test_every_state_can_be_left_and_reached() -> None:
    assert all(allowed(state) for state in S)
    reached = {step(state, action).state for state in S for action in allowed(state)}  # a comment leaves it new
    assert reached == set(S)
