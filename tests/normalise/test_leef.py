"""IBM's Log Event Extended Format, both versions, written by an encoder here and read back."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from secops.normalise.parsers.leef import read

PLAIN = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs"], exclude_characters="|=\t")
WORDS = st.text(PLAIN, min_size=1, max_size=20)
KEYS = st.from_regex(r"[a-zA-Z][a-zA-Z0-9]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)
DELIMITERS = st.sampled_from(["^", ";", "\t", "~", "¦", "|"])


@given(st.lists(WORDS, min_size=4, max_size=4), st.dictionaries(KEYS, VALUES, max_size=12))
def test_version_1_is_read_as_written(header: list[str], fields: dict[str, str]) -> None:
    found = read("|".join(["LEEF:1.0", *header]) + "|" + "\t".join(f"{key}={value}" for key, value in fields.items()))
    assert found is not None
    assert found.header[:4] == tuple(header)
    assert found.fields == fields


@given(
    st.lists(WORDS, min_size=4, max_size=4),
    st.dictionaries(KEYS, VALUES, max_size=12),
    DELIMITERS,
    st.sampled_from(["{}", "0x{:02x}", "x{:02X}"]),
)
def test_version_2_is_read_as_written_with_any_delimiter(
    header: list[str], fields: dict[str, str], delimiter: str, form: str
) -> None:
    assume(all(delimiter not in value for value in fields.values()))
    assume(not (form == "{}" and delimiter == "|"))  # the pipe itself cannot stand in the header
    named = form.format(ord(delimiter)) if "x" in form else delimiter
    found = read(
        "|".join(["LEEF:2.0", *header, named]) + "|" + delimiter.join(f"{key}={value}" for key, value in fields.items())
    )
    assert found is not None
    assert found.fields == fields


@pytest.mark.parametrize("named", ["", "0x09", "x09"])
def test_an_empty_delimiter_is_a_tab(named: str) -> None:
    found = read(f"LEEF:2.0|Acme|Box|1|77|{named}|src=192.0.2.1\tdst=192.0.2.2")
    assert found is not None
    assert found.fields == {"src": "192.0.2.1", "dst": "192.0.2.2"}


def test_version_2_without_a_delimiter_field_keeps_a_pipe_in_its_fields() -> None:
    found = read("LEEF:2.0|Acme|Box|1|77|src=192.0.2.1\tmsg=a|b")
    assert found is not None
    assert found.fields == {"src": "192.0.2.1", "msg": "a|b"}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    found = read("LEEF:2.0|" + text)
    assert found is None or all(key for key in found.fields)
