from __future__ import annotations

import json
import string
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from neonctl.errors import ServiceError
from neonctl.plan.observed import Address, Addresses
from neonctl.secret import Secret
from neonctl.vault.payload import Credential, make_credential

CANARY = "Canary0123456789Canary0123456789"

# What Postgres takes as a name or a password: anything but NUL (and no half characters, which UTF-8 lacks).
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=40)
HOST = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=30).map("ep-{}.neon.tech".format)
ADDRESSES = st.builds(
    Addresses,
    direct=st.builds(Address, HOST, st.integers(1, 65535)),
    pooled=st.builds(Address, HOST, st.integers(1, 65535)),
)
CA_FILE = st.none() | st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20
).map(lambda text: Path("/ca") / text)
SAMPLE = Addresses(direct=Address("direct.example", 5001), pooled=Address("pooled.example", 6001))


def sample(**changes: object) -> Credential:
    wanted = {
        "pooled": True,
        "username": "u",
        "password": Secret(CANARY),
        "dbname": "d",
        "ca_file": None,
    } | changes
    return make_credential(wanted.pop("addresses", SAMPLE), **wanted)  # type: ignore[arg-type]


@settings(deadline=None)
@example(SAMPLE, True, "a b", "p+w", "d/b?c#d", Path("/ca/my folder/a+b%20.pem"))
@given(ADDRESSES, st.booleans(), TEXT, TEXT, TEXT, CA_FILE)
def test_libpq_reads_from_the_uri_what_was_put_in(
    addresses: Addresses, pooled: bool, username: str, password: str, dbname: str, ca_file: Path | None
) -> None:
    made = make_credential(
        addresses, pooled=pooled, username=username, password=Secret(password), dbname=dbname, ca_file=ca_file
    )
    expected = {
        "user": username,
        "password": password,
        "host": made.host,
        "port": str(made.port),
        "dbname": dbname,
        "sslmode": "verify-full",
    }
    if ca_file is not None:
        expected["sslrootcert"] = str(ca_file)
    assert conninfo_to_dict(made.uri.reveal()) == expected


@settings(deadline=None)
@given(ADDRESSES, st.booleans(), TEXT, TEXT, TEXT, CA_FILE)
def test_json_round_trip(
    addresses: Addresses, pooled: bool, username: str, password: str, dbname: str, ca_file: Path | None
) -> None:
    made = make_credential(
        addresses, pooled=pooled, username=username, password=Secret(password), dbname=dbname, ca_file=ca_file
    )
    again = Credential.from_json(made.to_json(), name="s")
    assert again == made


def test_the_document_has_the_fields_of_the_contract() -> None:
    made = sample()
    assert json.loads(made.to_json().reveal()) == {
        "engine": "postgres",
        "host": "pooled.example",
        "port": 6001,
        "username": "u",
        "password": CANARY,
        "dbname": "d",
        "sslmode": "verify-full",
        "uri": f"postgresql://u:{CANARY}@pooled.example:6001/d?sslmode=verify-full",
        "direct_host": "direct.example",
        "direct_port": 5001,
        "pooled_host": "pooled.example",
        "pooled_port": 6001,
    }


def test_direct_roles_get_the_direct_host() -> None:
    made = sample(pooled=False)
    assert (made.host, made.port) == ("direct.example", 5001)


def test_a_numeric_host_stays_readable_for_libpq() -> None:
    made = sample(addresses=Addresses(direct=Address("::1", 5001), pooled=Address("::1", 6001)))
    assert conninfo_to_dict(made.uri.reveal())["host"] == "::1"


@pytest.mark.parametrize(
    "document",
    [
        "",
        CANARY,
        f'["{CANARY}"]',
        f'{{"password": "{CANARY}"',
        json.dumps({"password": CANARY, "uri": CANARY}),
        json.dumps(json.loads(sample().to_json().reveal()) | {"port": CANARY}),
        json.dumps(json.loads(sample().to_json().reveal()) | {"port": True}),
    ],
)
def test_a_foreign_document_is_named_and_not_shown(document: str) -> None:
    with pytest.raises(ServiceError) as caught:
        Credential.from_json(Secret(document), name="bank-neon/dev/bank_core/app_user")
    assert caught.value.code == "SECRET_MALFORMED"
    assert "bank-neon/dev/bank_core/app_user" in caught.value.message
    assert CANARY not in repr((caught.value.message, caught.value.hint, caught.value.details))
    assert caught.value.__context__ is None


def test_a_field_added_by_hand_does_no_harm() -> None:
    document = json.loads(sample().to_json().reveal()) | {"note": "for the auditors"}
    assert Credential.from_json(Secret(json.dumps(document)), name="s") == sample()


def test_nothing_prints_the_password() -> None:
    made = sample()
    shown = f"{made} {made!r} {made.to_json()} {[getattr(made, field.name) for field in fields(made)]}"
    assert CANARY not in shown
    with pytest.raises(TypeError):
        asdict(made)
