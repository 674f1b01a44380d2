"""Connection URIs in parts, and passwords that stay hidden."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from neonctl.errors import NeonctlError
from neonctl.neon.connection import parse_connection_uri
from neonctl.plan.observed import Address
from neonctl.secret import Secret

words = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), min_size=1)
hosts = st.from_regex(r"ep-[a-z0-9-]{1,20}(-pooler)?\.[a-z0-9-]{1,20}\.aws\.neon\.tech", fullmatch=True)


PARTS = ["host", "role", "password", "database"]
PROBLEMS = {"it is not a postgresql:// URI"} | {
    "the connection URI has no " + " and no ".join(part for n, part in enumerate(PARTS) if bits >> n & 1)
    for bits in range(1, 16)
}


@given(words, words, words, hosts, st.none() | st.integers(1, 65535), st.sampled_from(["", "?sslmode=require"]))
def test_what_is_put_into_a_uri_comes_out_again(username, password, dbname, host, port, query):
    def part(text):
        return quote(text, safe="")

    where = host if port is None else f"{host}:{port}"
    target = parse_connection_uri(
        Secret(f"postgresql://{part(username)}:{part(password)}@{where}/{part(dbname)}{query}")
    )
    assert (target.username, target.password.reveal(), target.dbname) == (username, password, dbname)
    assert target.address == Address(host, port or 5432)


@given(st.text())
def test_no_text_at_all_makes_it_fail_otherwise_or_quote_anything(text):
    for uri in (text, f"postgresql://u:{text}@h/d", f"postgresql://{text}"):
        problem = _problem(uri)
        assert problem is None or (str(problem) in PROBLEMS and problem.__context__ is None)


def _problem(uri):
    try:
        parse_connection_uri(Secret(uri))
    except ValueError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("postgres://u:p@h/d", ("u", "p", "h", 5432, "d")),
        ("postgresql://u:a%40b%2Fc%25@h:6543/d", ("u", "a@b/c%", "h", 6543, "d")),
        ("postgresql://u:a@b@h/d", ("u", "a@b", "h", 5432, "d")),
        ("postgresql://u:a+b@h/d", ("u", "a+b", "h", 5432, "d")),
        (
            "postgresql://u:p@[::1]:5433/d?sslmode=require&channel_binding=require",
            ("u", "p", "::1", 5433, "d"),
        ),
    ],
)
def test_odd_uris(uri, parts):
    target = parse_connection_uri(Secret(uri))
    assert (
        target.username,
        target.password.reveal(),
        target.address.host,
        target.address.port,
        target.dbname,
    ) == parts


def test_the_client_gives_the_parts_and_hides_the_password(client, neon):
    target = client.connection("p-1", "br-1", database="bank_core", role="bank_owner", pooled=True)
    assert repr(target) == snapshot(
        "ConnectionTarget(address=Address(host='ep-1.aws.neon.tech', port=5432), username='bank_owner', "
        "password=Secret(•••), dbname='bank_core')"
    )
    assert dict(neon.seen[0].url.params) == {
        "branch_id": "br-1",
        "database_name": "bank_core",
        "role_name": "bank_owner",
        "pooled": "true",
    }


@pytest.mark.parametrize("uri", ["postgresql://u:hush/x@h/d", "mysql://u:hush@h/d", "postgresql://u:hush@h:99999/d"])
def test_a_uri_that_is_not_understood_is_not_shown(uri, client, neon):
    neon.uri = uri
    with pytest.raises(NeonctlError) as caught:
        client.connection("p-1", "br-1", database="bank_core", role="bank_owner", pooled=False)
    assert caught.value.code == "NEON_UNEXPECTED"
    assert "hush" not in f"{caught.value} {caught.value.details}"
    assert caught.value.__context__ is None or "hush" not in str(caught.value.__context__)
