"""secrets and connection-string: masked unless revealed, and a reveal goes on record first."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import psycopg
import pytest
from inline_snapshot import snapshot

from neonctl_run import stable

ONE = ("--env", "dev", "--database", "bank_core", "--role", "readonly")


def test_the_list_names_every_credential_without_values(provisioned):
    result = provisioned.run("secrets", "list", "--env", "dev", "-o", "json")
    secrets = result.json["secrets"]
    assert (result.code, len(secrets), secrets[0] | {"version_id": "[UUID]"}) == snapshot(
        (
            0,
            19,
            {
                "environment": "dev",
                "name": "bank-neon/dev/bank_core/app_user",
                "state": "stored",
                "version_id": "[UUID]",
            },
        )
    )
    assert {each["state"] for each in secrets} == {"stored"}
    text = provisioned.run("secrets", "list", "--env", "dev").stdout
    assert stable(text).splitlines()[:2] == snapshot(
        ["environment  name  state  version", "dev  bank-neon/dev/bank_core/app_user  stored  [UUID]"]
    )


def test_one_credential_is_masked(provisioned):
    records = provisioned.audit_lines()
    result = provisioned.run("secrets", "show", *ONE)
    assert (result.code, stable(result.stdout)) == snapshot(
        (
            0,
            """\
field  value
engine  postgres
host  localhost
port  [PORT]
username  bank_core_readonly
password  •••
dbname  bank_core
sslmode  verify-full
uri  •••
direct_host  localhost
direct_port  [PORT]
pooled_host  localhost
pooled_port  [PORT]\
""",
        )
    )
    assert provisioned.audit_lines() == records


def test_a_reveal_shows_what_logs_in_and_goes_on_record(provisioned):
    shown = provisioned.run("secrets", "show", *ONE, "--reveal", "-o", "json", "--actor", "ana").json
    record = json.loads(provisioned.audit_lines()[-1])
    assert (record["what"], record["target"], record["environment"], record["actor"]) == (
        "secret.reveal",
        "bank-neon/dev/bank_core/readonly",
        "dev",
        "ana",
    )
    assert record["version_id"] == shown["version_id"]
    assert shown["secret"]["password"] not in json.dumps(record)
    with psycopg.connect(shown["secret"]["uri"]) as connection:
        assert connection.execute("select current_user").fetchone() == ("bank_core_readonly",)


@pytest.mark.parametrize(
    ("role", "flags", "pooled"),
    [
        ("app_user", (), True),
        ("app_user", ("--direct",), False),
        ("readonly", (), False),
        ("bank_core_readonly", ("--pooled",), True),
    ],
)
def test_connection_strings_lead_where_they_say(provisioned, role, flags, pooled):
    base = ("connection-string", "--env", "dev", "--database", "bank_core", "--role", role, *flags)
    masked = provisioned.run(*base)
    assert masked.code == 0
    assert ":•••@" in masked.stdout
    assert "the password is masked" in masked.stderr
    open_text = provisioned.run(*base, "--reveal", "-o", "json").json
    assert (open_text["pooled"], open_text["revealed"]) == (pooled, True)
    dev = next(each for each in _branches(provisioned) if each["branch"] == "dev")
    assert urlsplit(open_text["uri"]).port == dev["pooled_port" if pooled else "direct_port"]
    with psycopg.connect(open_text["uri"], prepare_threshold=None) as connection:
        assert connection.execute("select current_database()").fetchone() == ("bank_core",)


def _branches(provisioned):
    return provisioned.run("local", "status", "-o", "json").json["branches"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("connection-string", *ONE, "--direct", "--pooled"), "USAGE"),
        (("secrets", "show", "--env", "dev", "--database", "nope", "--role", "readonly"), "UNKNOWN_DATABASE"),
        (("secrets", "show", "--env", "dev", "--database", "bank_aml", "--role", "root"), "UNKNOWN_ROLE"),
        (("secrets", "list", "--env", "nope"), "UNKNOWN_ENVIRONMENT"),
    ],
)
def test_wrong_names_are_told_with_the_right_ones(provisioned, arguments, code):
    result = provisioned.run(*arguments, "-o", "json")
    assert (result.code, result.error["code"]) == (64, code)
    assert result.error["hint"]
