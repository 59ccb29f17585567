"""What is asked of every decision about a rule: a rule to be about, and a reason that says something."""

from __future__ import annotations

from typing import Final

from secops.errors import UserError

MAX_REASON: Final = 1000
MAX_RULE_ID: Final = 200


def reason_of(text: str) -> str:
    """Give the reason without surrounding blanks.

    Raises:
        UserError: it is empty or longer than a thousand characters.
    """
    said = text.strip()
    if not said:
        raise UserError("rule.reason", "请填写理由。", "Give a reason.")
    if len(said) > MAX_REASON:
        raise UserError(
            "rule.reason",
            f"理由超过 {MAX_REASON} 个字符，请缩短。",
            f"The reason is longer than {MAX_REASON} characters; shorten it.",
        )
    return said


def rule_of(rule_id: str) -> str:
    """Give the rule's id.

    Raises:
        UserError: it is empty or too long to be one.
    """
    if not rule_id or len(rule_id) > MAX_RULE_ID:
        raise UserError(
            "rule.id", f"规则编号 {rule_id[:40]!r} 无效。", f"{rule_id[:40]!r} is no rule id; see secops rules list."
        )
    return rule_id
