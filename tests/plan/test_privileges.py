from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neonctl.plan.observed import Grant
from neonctl.plan.privileges import parse, render

part = st.from_regex(r"[a-z_][a-z0-9_$]{0,8}", fullmatch=True) | st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=8
).map(lambda text: '"' + text.replace('"', '""') + '"')
name = st.lists(part, min_size=2, max_size=3).map(".".join)
types = st.lists(
    st.sampled_from(["uuid", "numeric", "double precision", '"char"', 'core."Odd, (type) "[]']), max_size=3
)
signature = st.builds(lambda name, types: f"{name}({', '.join(types)})", name, types)
grantee = st.just("PUBLIC") | st.from_regex(r"[A-Za-z_][A-Za-z0-9_$ \".é-]{0,10}", fullmatch=True)
words = st.sampled_from(["SELECT", "INSERT", "UPDATE", "DELETE", "USAGE", "EXECUTE", "MAINTAIN"])


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    kind = draw(st.sampled_from(["table", "column", "sequence", "function"]))
    target = draw(signature if kind == "function" else name)
    return Grant(kind, target, draw(grantee), draw(words), draw(st.booleans()))


def one_each(found: frozenset[Grant]) -> frozenset[Grant]:
    return frozenset({(g.kind, g.object, g.grantee, g.privilege): g for g in sorted(found)}.values())


@given(st.frozensets(grants(), max_size=12).map(one_each))
def test_what_is_written_is_read_back(wanted: frozenset[Grant]) -> None:
    lines = render(wanted)
    assert parse(lines) == wanted
    assert parse("".join(f"{line}\n" for line in lines).split("\n")) == wanted
    assert render(parse(lines)) == lines
    assert list(lines) == sorted(lines)


def test_one_line_per_object_and_grantee() -> None:
    assert render(
        [
            Grant("table", "core.audit", "bank_core_app_user", "SELECT", grantable=True),
            Grant("table", "core.audit", "bank_core_app_user", "INSERT"),
            Grant("table", "accounts.accounts", "bank_core_readonly", "SELECT"),
            Grant("column", "accounts.accounts.balance", "bank_core_app_user", "SELECT"),
            Grant("function", "core.post(uuid, numeric)", "PUBLIC", "EXECUTE"),
            Grant("schema", "core", "PUBLIC", "USAGE"),
            Grant("database", "bank_core", "PUBLIC", "CONNECT"),
            Grant("default", "o/*/tables", "PUBLIC", "SELECT"),
        ]
    ) == (
        "column accounts.accounts.balance bank_core_app_user SELECT",
        "function core.post(uuid, numeric) PUBLIC EXECUTE",
        "table accounts.accounts bank_core_readonly SELECT",
        "table core.audit bank_core_app_user INSERT SELECT*",
    )


def test_comments_and_blank_lines_are_skipped() -> None:
    found = parse(["# generated", "", "  table a.b c SELECT  ", "\t"])
    assert found == {Grant("table", "a.b", "c", "SELECT")}


@pytest.mark.parametrize(
    "line",
    ["table a.b c", "schema a c USAGE", "table a.b c select", "function core.f PUBLIC EXECUTE", "garbage", "table"],
)
def test_a_line_that_is_none_is_told_with_its_number(line: str) -> None:
    with pytest.raises(ValueError, match="line 2: not a privilege"):
        parse(["# header", line])
