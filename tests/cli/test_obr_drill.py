"""obr drill on the embedded platform: real branches, a signed report, and nothing left whichever way it ends."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from bank_database import open_customer, open_internal
from neonctl.local import state
from neonctl_run import command, interrupt_when, scrubbed
from platform_fixture import REPOSITORY, Project, Provisioned

PERSISTENT = {"prod", "uat", "dev"}
DRILL = ("obr", "drill", "--haircut", "0.25", "--out", "drills")
OWNER = "SET ROLE bank_core_migrate_user"


def branches(project: Project) -> set[str]:
    return {each.branch for each in state.branches(project.platform) if each.project == "bank"}


@pytest.fixture(scope="module")
def uat(provisioned: Provisioned) -> Provisioned:
    """Some customers in uat."""
    with provisioned.superuser("uat", "bank_core") as conn:
        till, overseas = open_internal(conn), open_internal(conn, "AUD")
        open_customer(conn, money="1000.01", source=till)
        open_customer(conn, money="500.00", source=till, parties=[uuid4(), uuid4()])
        open_customer(conn, money="300.00", source=overseas, currency="AUD")
    return provisioned


def drill(project: Project, env: str, *more: str, out: str = "drills"):
    return project.run("obr", "drill", "--env", env, "--haircut", "0.25", "--out", out, *more)


def untouched(project: Project, env: str) -> list[tuple[object, ...]]:
    """What no drill may change in an environment."""
    return project.sql(
        env,
        "bank_core",
        "SELECT (SELECT count(*) FROM core.obr_partition_events), (SELECT count(*) FROM core.obr_keys),"
        " (SELECT count(*) FROM core.transaction_log), (SELECT count(*) FROM core.outbox),"
        " (SELECT count(*) FROM core.obr_account_partitions), (SELECT max(version) FROM accounts.accounts),"
        " (SELECT resolution_state FROM core.obr_resolution_state), (SELECT count(*) FROM accounts.accounts)",
    )


def stored(project: Project) -> list[str]:
    """Names of all secrets."""
    return [each["name"] for each in project.run("secrets", "list", "-o", "json").json["secrets"]]


def test_production_is_drilled_on_a_copy_and_keeps_one_row_of_it(provisioned, tmp_path):
    before, secrets = untouched(provisioned, "prod"), stored(provisioned)
    drills = "SELECT count(*) FROM core.obr_drills"
    ((count,),) = provisioned.sql("prod", "bank_core", drills)
    state.journal(provisioned.platform, clear=True)
    result = drill(provisioned, "prod", "-o", "json", out=str(tmp_path))
    assert result.code == 0, result.stderr
    made = result.json
    report, page = Path(made["report_file"]), Path(made["page_file"])
    assert (made["schema_version"], made["passed"], made["report"]["kind"]) == (1, True, "obr-drill")
    assert {each.name for each in tmp_path.iterdir()} == {report.name, page.name}
    Draft202012Validator(json.loads((REPOSITORY / "schema" / "obr-drill.schema.json").read_text())).validate(
        json.loads(report.read_text())["document"]
    )
    assert branches(provisioned) == PERSISTENT
    assert untouched(provisioned, "prod") == before
    assert stored(provisioned) == secrets
    assert not [call for call in provisioned.changing_calls() if not call.startswith("neon")], "AWS was only read"
    digest = hashlib.sha256(report.read_bytes()).hexdigest()
    ((now, last, kept),) = provisioned.sql(
        "prod",
        "bank_core",
        "SELECT count(*), max(drill_id::text) FILTER (WHERE drill_id::text = " + f"'{made['report']['drill_id']}')"
        ", max(encode(report_sha256, 'hex')) FILTER (WHERE drill_id::text = " + f"'{made['report']['drill_id']}')"
        " FROM core.obr_drills",
    )
    assert (now, last, kept) == (count + 1, made["report"]["drill_id"], digest)
    assert digest in page.read_text()
    status = provisioned.run("obr", "status", "--env", "prod", "-o", "json").json
    assert status["last_drill"]["outcome"] == "passed"
    assert status["last_drill"]["report_sha256"] == digest
    (line,) = (each for each in map(json.loads, provisioned.audit_lines()) if each.get("drill_id") == last)
    assert (line["what"], line["target"], line["outcome"]) == ("obr.drill", "prod/bank_core", "done")


def test_the_public_key_alone_verifies_report_and_page(uat, tmp_path):
    made = drill(uat, "uat", "-o", "json", out=str(tmp_path)).json
    key = tmp_path / "status.pub"
    assert uat.run("obr", "keys", "status-key", "--env", "uat", "--out", str(key)).code == 0
    verify = ("obr", "verify-status", made["report_file"], "--key", str(key))
    found = uat.run(*verify)
    assert found.code == 0, found.stderr
    assert "is the page of this report" in found.stdout
    assert re.search(r"outcome +passed", found.stdout)
    page = Path(made["page_file"])
    page.write_text(page.read_text().replace("Passed.", "Passed!"))
    assert uat.run(*verify, "-o", "json").error["code"] == "REPORT_PAGE_ALTERED"
    report = Path(made["report_file"])
    report.write_text(report.read_text().replace('"passed"', '"failed"', 1))
    assert uat.run(*verify, "-o", "json").error["code"] == "ATTESTED_ALTERED"


def test_a_terminal_is_told_what_held_how_long_it_took_and_where_the_report_is(uat, tmp_path):
    result = drill(uat, "uat", "--release", "10", "--de-minimis", "100", out=str(tmp_path))
    assert result.code == 0, result.stderr
    first, *rest = result.stdout.splitlines()
    assert re.fullmatch(r"PASSED: drill on a copy of uat, haircut 0\.2500, \d+ customer accounts, [\d.]+ s", first)
    text = "\n".join(rest)
    for part in ("Activation", "Release of 10 %", "Unwind", "Copy deleted", "NZD  balance", "statements held"):
        assert part in text, part
    assert "drill: activation" in result.stderr


@contextmanager
def tampered(project: Project, env: str, *statements: str, back: list[str]) -> Iterator[None]:
    """What the owner did to an environment, taken back afterwards."""
    project.sql(env, "bank_core", OWNER, *statements)
    try:
        yield
    finally:
        project.sql(env, "bank_core", OWNER, *back)


def test_a_gate_that_is_gone_is_found_and_told_and_the_report_written_all_the_same(uat, tmp_path):
    gates = {
        "trg_00_postings_obr_channel_gate": "accounts.postings",
        "trg_accounts_obr_frozen": "accounts.accounts",
    }
    back: list[str] = []
    for trigger, table in gates.items():
        ((text,),) = uat.sql(
            "uat", "bank_core", f"SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = '{trigger}'"
        )
        back += [str(text), f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}"]
    drops = [f"DROP TRIGGER {trigger} ON {table}" for trigger, table in gates.items()]
    with tampered(uat, "uat", *drops, back=back):
        result = drill(uat, "uat", "-o", "json", out=str(tmp_path))
    assert result.code == 1
    made = result.json
    assert made["passed"] is False
    failed = {each["name"] for each in (*made["report"]["proofs"], *made["report"]["probes"]) if each["ok"] is False}
    assert {"guards", "beyond", "joint", "overseas"} <= failed
    assert "Failed." in Path(made["page_file"]).read_text()
    assert branches(uat) == PERSISTENT
    assert uat.run("obr", "status", "--env", "uat", "-o", "json").json["last_drill"]["outcome"] == "failed"
    assert drill(uat, "uat", out=str(tmp_path / "again")).code == 0


HANGS = {
    "keys registered": ("core.obr_keys", "true"),
    "activation": ("core.obr_partition_events", "NEW.event_type = 'OBR_ACTIVATED'"),
    "gate tried by postings": ("accounts.postings", "true"),
    "unwind": ("core.obr_partition_events", "NEW.event_type = 'OBR_UNWOUND'"),
}


@contextmanager
def hanging(project: Project, part: str) -> Iterator[None]:
    """One part of every drill of uat comes to no end."""
    table, when = HANGS[part]
    make = (
        "CREATE FUNCTION core.hang() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'"
    )
    trigger = f"CREATE TRIGGER aaa BEFORE INSERT ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION core.hang()"
    with tampered(project, "uat", make, trigger, back=["DROP FUNCTION core.hang() CASCADE"]):
        yield


@pytest.mark.parametrize(
    ("part", "number"),
    [
        ("keys registered", signal.SIGTERM),
        ("activation", signal.SIGINT),
        ("gate tried by postings", signal.SIGTERM),
        ("unwind", signal.SIGINT),
    ],
)
def test_whoever_stops_it_in_whichever_part_finds_nothing_left(uat, tmp_path, part, number):
    drills = uat.sql("uat", "bank_core", "SELECT count(*) FROM core.obr_drills")
    before = untouched(uat, "uat")
    with hanging(uat, part):
        result = interrupt_when(
            f"drill: {part}: started",
            *DRILL[:-1],
            str(tmp_path),
            "--env",
            "uat",
            "--log-format",
            "json",
            cwd=uat.folder,
            env=uat.environment({"NEONCTL_TARGET": "local"}),
            number=number,
        )
    assert result.code == 130, result.stderr
    assert f"drill: {part}: done" not in result.stderr
    assert branches(uat) == PERSISTENT
    assert list(tmp_path.iterdir()) == []
    assert uat.sql("uat", "bank_core", "SELECT count(*) FROM core.obr_drills") == drills
    assert untouched(uat, "uat") == before


def test_what_kill_9_leaves_expires_by_itself(uat, tmp_path):
    with hanging(uat, "activation"):
        result = interrupt_when(
            "drill: activation: started",
            *DRILL[:-1],
            str(tmp_path),
            "--env",
            "uat",
            "--lifetime",
            "30m",
            "--log-format",
            "json",
            cwd=uat.folder,
            env=uat.environment({"NEONCTL_TARGET": "local"}),
            number=signal.SIGKILL,
        )
    assert result.code == -signal.SIGKILL
    (left,) = branches(uat) - PERSISTENT
    assert left.startswith("drill-uat-")
    found = next(each for each in state.branches(uat.platform) if each.branch == left)
    removed = _api(uat, "GET", f"/projects/{found.project_id}/branches/{found.branch_id}")["branch"]
    assert removed["expires_at"]
    _api(uat, "DELETE", f"/projects/{found.project_id}/branches/{found.branch_id}")


def _api(project: Project, method: str, path: str):
    import httpx

    headers = {"Authorization": f"Bearer {project.platform.api_key.reveal()}"}
    answer = httpx.request(method, f"{project.platform.api_url}{path}", headers=headers, trust_env=False)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else {}


def test_two_at_once_do_not_disturb_each_other(uat, tmp_path):
    started = [
        subprocess.Popen(
            command(*DRILL[:-1], str(tmp_path / name), "--env", "uat", "-q", "-o", "json"),
            cwd=uat.folder,
            env=scrubbed(uat.environment({"NEONCTL_TARGET": "local"})),
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    said = [json.loads(each.communicate(timeout=60)[0]) for each in started]
    assert [each["passed"] for each in said] == [True, True]
    assert branches(uat) == PERSISTENT


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--haircut", "1.5"], "HAIRCUT_INVALID"),
        (["--haircut", "0.25", "--de-minimis", "-1"], "AMOUNT_INVALID"),
        (["--haircut", "0.25", "--release", "0"], "PERCENT_INVALID"),
        (["--haircut", "0.25", "--lifetime", "soon"], "DURATION_INVALID"),
        (["--haircut", "0.25", "--lifetime", "31d"], "DURATION_INVALID"),
        (["--haircut", "0.25", "--out", "/dev/null/x"], "OUTPUT_UNWRITABLE"),
        (["--haircut", "0.25", "--key", "absent.pem"], "FILE_UNREADABLE"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(uat, arguments, code):
    state.journal(uat.platform, clear=True)
    result = uat.run("obr", "drill", "--env", "uat", *arguments, "-o", "json")
    assert (result.code, result.error["code"]) == (64, code)
    assert uat.changing_calls() == []


def test_there_is_no_drill_while_a_resolution_is_activated(uat, tmp_path):
    """The state is one row, which an owner can only forge with the guards off: enough to see what a drill does then."""
    fields = "haircut_pct = 0.25, de_minimis_amount = 0, equal_shares = false, rbnz_instruction_ref = 'x', released_pct = 0, "
    fields += "activation_event_id = gen_random_uuid(), partition_event_id = gen_random_uuid(), quantified_at = now(), activated_at = now(), activated_by = 'x'"
    none = re.sub(r"= [^,]+", "= NULL", fields)
    off, on = (
        "ALTER TABLE core.obr_resolution_state DISABLE TRIGGER USER",
        "ALTER TABLE core.obr_resolution_state ENABLE ALWAYS TRIGGER",
    )
    awake = [f"{on} trg_obr_resolution_state_guard", f"{on} trg_obr_resolution_state_kept"]
    activate = f"UPDATE core.obr_resolution_state SET resolution_state = 'activated', {fields}"
    clear = f"UPDATE core.obr_resolution_state SET resolution_state = 'pre_positioned', {none}"
    with tampered(uat, "uat", off, activate, *awake, back=[off, clear, *awake]):
        state.journal(uat.platform, clear=True)
        result = drill(uat, "uat", "-o", "json", out=str(tmp_path))
    assert (result.code, result.error["code"]) == (1, "OBR_DRILL_REFUSED")
    assert uat.changing_calls() == []
    assert drill(uat, "uat", out=str(tmp_path)).code == 0
