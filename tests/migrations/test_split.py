"""A script's statements, with exactly the text of the file."""

from __future__ import annotations

import pytest

from neonctl.migrations.files import line_number
from neonctl.migrations.split import split

SCRIPTS = {
    "comments before, between, after": "-- a;b\n/* x /* y; */ z */ SELECT 1; -- after; it\n;;\nSELECT 2 -- end",
    "beyond ASCII and line ends that are none": "SELECT 'é\u2028\u0085€';\r\n\r\nSELECT '\U0001f4b6';\rSELECT 3;\n",
    "dollars and percents": "DO $do$ BEGIN PERFORM 1; END $do$;\nSELECT $$;$$, 5 % 3, '%s', E'\\';';",
    "a body without quotes": "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;\nSELECT f();",
    "nothing": "-- only a comment\n",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_text_and_place_are_those_of_the_file(script):
    statements = split(script)
    assert [each.number for each in statements] == list(range(1, len(statements) + 1))
    for each in statements:
        assert script[each.offset : each.offset + len(each.text)] == each.text
        assert each.line == line_number(script, each.offset)
        assert each.text.startswith(("SELECT", "DO", "CREATE"))
    left = script
    for each in reversed(statements):
        left = left[: each.offset] + left[each.offset + len(each.text) :]
    assert "SELECT" not in left


def test_a_megabyte():
    script = "INSERT INTO t VALUES (1, 'é');\n" * 35_000
    statements = split(script)
    assert len(script.encode()) > 2**20
    assert (len(statements), statements[-1].line) == (35_000, 35_000)
    assert statements[-1].text == "INSERT INTO t VALUES (1, 'é')"
    assert {each.kind for each in statements} == {"insert_stmt"}
