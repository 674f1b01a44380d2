from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neonctl.plan.observed import CredentialMark
from neonctl.postgres.marks import built_for_comment, credential_comment, parse_built_for, parse_credential
from neonctl.postgres.names import quoted, split_column, split_default, split_name

names = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)
words = st.from_regex(r"[!-~]+", fullmatch=True)


@given(st.lists(names, min_size=1, max_size=4))
def test_a_name_comes_back_in_its_parts(parts: list[str]) -> None:
    assert split_name(".".join(map(quoted, parts))) == tuple(parts)


@given(names, names, names)
def test_a_column_comes_apart_from_its_table(schema: str, table: str, column: str) -> None:
    whole = f"{quoted(schema)}.{quoted(table)}"
    assert split_column(f"{whole}.{quoted(column)}") == (whole, column)


@given(names, st.none() | names, st.sampled_from(["tables", "sequences", "functions"]))
def test_a_default_privilege_comes_apart(owner: str, schema: str | None, objects: str) -> None:
    where = "*" if schema is None else quoted(schema)
    assert split_default(f"{quoted(owner)}/{where}/{objects}") == (owner, schema, objects)


@pytest.mark.parametrize("text", ["", ".", "a.", "A", 'a"b', '"a', "a b", "a;b", "a.b\n", '""'])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a qualified name"):
        split_name(text)


@given(words, words, st.sampled_from(["", "Ask Ruth before touching this.\n"]))
def test_a_mark_is_read_back_from_among_other_people_s_lines(branch: str, version: str, before: str) -> None:
    branch = branch.replace(",", "-")
    mark = CredentialMark(branch, version)
    assert parse_credential(f"{before}{credential_comment(mark)}\nEnd.") == mark
    assert parse_built_for(before + built_for_comment(branch)) == branch


@pytest.mark.parametrize(
    "comment", [None, "", "the application's role", "neonctl: password of branch , secret version"]
)
def test_a_comment_without_mark_is_none(comment: str | None) -> None:
    assert parse_credential(comment) is None
    assert parse_built_for(comment) is None
