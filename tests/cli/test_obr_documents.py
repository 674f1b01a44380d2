"""Keys, instructions and signed documents on the command line: all of it without database and network."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime

import pytest
from inline_snapshot import snapshot

from neonctl.banking.key_files import read_public_key, read_signer
from neonctl.banking.signing.attested import attest, attested_text, sha256_of
from neonctl.banking.signing.instruction import parse_instruction
from neonctl.banking.signing.jws import signed_by
from neonctl_run import run, run_on_terminal, run_process, stable
from platform_fixture import copy_configuration

PASSPHRASE = "canary correct horse"
ACTIVATE = ("--action", "activate", "--scope", "bank/dev", "--reference", "RBNZ 2026/17", "--haircut", "0.25")


@pytest.fixture
def desk(tmp_path):
    """Runs a command in a folder that holds nothing but what earlier ones made."""

    def command(*arguments, **more):
        return run("obr", *arguments, cwd=tmp_path, **more)

    return command


def refused(result):
    return result.code, result.error["code"]


def signed(desk, tmp_path, *arguments):
    """Anna's signature over what the arguments say: the claims."""
    if not (tmp_path / "anna").exists():
        assert desk("keys", "generate", "--out", "anna").code == 0
    file = tmp_path / f"{len(list(tmp_path.iterdir()))}.jws"
    result = desk("sign", "--key", "anna", "--out", str(file), *arguments, "--yes", "-o", "json")
    assert result.code == 0, result.stderr
    jws, instruction = parse_instruction(file.read_text(), name="i")
    assert signed_by(jws, read_public_key(tmp_path / "anna.pub"))
    assert result.json["claims"] == instruction.claims
    return instruction.claims


def test_a_key_is_made_and_named(desk, tmp_path):
    result = desk("keys", "generate", "--out", "anna", "-o", "json")
    assert result.code == 0
    assert result.json["key_id"] == read_signer(tmp_path / "anna", None).public.key_id
    assert stat.S_IMODE((tmp_path / "anna").stat().st_mode) == 0o600
    assert "anna has no passphrase: whoever can read it can sign" in result.stderr
    before = (tmp_path / "anna").read_bytes()
    assert refused(desk("keys", "generate", "--out", "anna", "-o", "json")) == (64, "FILE_EXISTS")
    assert (tmp_path / "anna").read_bytes() == before


def test_a_passphrase_comes_from_the_environment_or_a_file_and_is_seen_nowhere(desk, tmp_path):
    (tmp_path / "secret").write_text(PASSPHRASE + "\n")
    results = [desk("keys", "generate", "--out", "anna", "--passphrase-file", "secret", "-v")]
    assert results[0].code == 0
    sign = ("sign", "--key", "anna", *ACTIVATE, "--yes", "-o", "json", "-v")
    results.append(desk(*sign, "--out", "1.jws"))
    assert refused(results[-1]) == (64, "KEY_PASSPHRASE_MISSING")
    results.append(desk(*sign, "--out", "1.jws", env={"NEONCTL_KEY_PASSPHRASE": PASSPHRASE + "x"}))
    assert refused(results[-1]) == (64, "KEY_PASSPHRASE_WRONG")
    results.append(desk(*sign, "--out", "1.jws", env={"NEONCTL_KEY_PASSPHRASE": PASSPHRASE}))
    assert results[-1].code == 0
    results.append(desk(*sign, "--out", "2.jws", "--passphrase-file", "secret"))
    assert results[-1].code == 0
    (tmp_path / "empty").write_text("")
    assert refused(desk(*sign, "--out", "3.jws", "--passphrase-file", "empty")) == (64, "KEY_PASSPHRASE_MISSING")
    private = "".join((tmp_path / "anna").read_text().splitlines()[1:-1])
    said = "".join(result.stdout + result.stderr for result in results)
    assert PASSPHRASE not in said
    assert private not in said.replace("\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {"anna", "anna.pub", "secret", "empty", "1.jws", "2.jws"}


def test_every_action_can_be_signed(desk, tmp_path):
    common = ("--scope", "bank/dev", "--reference", "RBNZ 2026/17")
    found = signed(desk, tmp_path, *ACTIVATE, "--de-minimis", "500", "--equal-shares")
    assert (found["haircut"], found["de_minimis"], found["equal_shares"]) == ("0.2500", "500.00", True)
    assert found["exp"] - found["nbf"] == 86_400
    assert signed(desk, tmp_path, "--action", "release", "--percent", "12.5", *common)["percent"] == "12.50"
    assert signed(desk, tmp_path, "--action", "unwind", *common)["permanent_haircut_sha256"] is None
    (tmp_path / "lost.json").write_text('{"0190c8a2-6c1e-7b3a-9d54-3f1f0a6b2c47": "12.34"}')
    lost = signed(desk, tmp_path, "--action", "unwind", "--permanent-haircut", "lost.json", *common)
    assert len(lost["permanent_haircut_sha256"]) == 64
    assert signed(desk, tmp_path, "--action", "rearm", *common)["action"] == "rearm"
    key = ("--action", "add-key", "--name", "Ben", "--kind", "officer", "--public-key", "anna.pub", *common)
    found = signed(desk, tmp_path, *key, "--key-valid-until", "2027-11-20T00:00:00Z")
    assert (found["key_name"], found["key_kind"], found["valid_from"]) == ("Ben", "officer", found["nbf"])
    assert found["valid_until"] == int(datetime(2027, 11, 20, tzinfo=UTC).timestamp())
    revoke = ("--action", "revoke-key", "--key-id", found["key_id"], "--reason", "lost", *common)
    assert signed(desk, tmp_path, *revoke)["reason"] == "lost"


def test_options_belong_to_their_action(desk, tmp_path):
    desk("keys", "generate", "--out", "anna")
    sign = ("sign", "--key", "anna", "--out", "x.jws", "--yes", "-o", "json", "--scope", "bank/dev", "--reference", "R")
    for wrong in (
        (),
        ("--action", "activate"),
        ("--action", "activate", "--haircut", "0.2", "--percent", "10"),
        ("--action", "rearm", "--haircut", "0.2"),
        ("--action", "release"),
        ("--action", "rearm", "--env", "dev"),
        ("--action", "add-key", "--name", "Ben"),
    ):
        assert refused(desk(*sign, *wrong)) == (64, "USAGE"), wrong
    assert refused(desk(*sign, "--action", "activate", "--haircut", "25")) == (64, "HAIRCUT_INVALID")
    assert refused(desk(*sign, "--action", "release", "--percent", "0")) == (64, "PERCENT_INVALID")
    for bad in ('{"x": "1.00"}', '{"0190c8a2-6c1e-7b3a-9d54-3f1f0a6b2c47": 1}', "{}", "[]"):
        (tmp_path / "lost.json").write_text(bad)
        unwind = ("--action", "unwind", "--permanent-haircut", "lost.json")
        assert refused(desk(*sign, *unwind)) == (64, "HAIRCUTS_INVALID"), bad
    assert refused(desk(*sign, "--action", "rearm", "--valid-for", "32d")) == (64, "OBR_INSTRUCTION_INVALID")
    assert not (tmp_path / "x.jws").exists()


def test_the_scope_is_the_project_and_the_environment(desk, tmp_path):
    copy_configuration(tmp_path)
    sign = ("--action", "rearm", "--reference", "R")
    assert signed(desk, tmp_path, *sign, "--env", "prod")["scope"] == "bank/prod"
    result = desk("sign", "--key", "anna", "--out", "x.jws", *sign, "--env", "test", "--yes", "-o", "json")
    assert refused(result) == (64, "UNKNOWN_ENVIRONMENT")


def test_the_second_officer_signs_the_same(desk, tmp_path):
    for officer in ("anna", "ben"):
        desk("keys", "generate", "--out", officer)
    desk("sign", "--key", "anna", "--out", "a.jws", *ACTIVATE, "--yes")
    assert desk("sign", "--key", "ben", "--out", "b.jws", "--same-as", "a.jws", "--yes").code == 0
    one, other = (parse_instruction((tmp_path / f"{name}.jws").read_text(), name="i")[0] for name in "ab")
    assert one.payload == other.payload
    assert one.key_id != other.key_id
    more = ("sign", "--key", "ben", "--out", "c.jws", "--same-as", "a.jws", "--yes", "-o", "json")
    assert refused(desk(*more, "--haircut", "0.3")) == (64, "USAGE")
    assert refused(desk(*more, "--reference", "another")) == (1, "OBR_INSTRUCTION_MISMATCH")
    assert refused(desk(*more, "--action", "rearm")) == (1, "OBR_INSTRUCTION_WRONG_ACTION")
    (tmp_path / "a.jws").write_text("no instruction")
    assert refused(desk(*more)) == (64, "OBR_INSTRUCTION_INVALID")


def test_who_signs_sees_what_he_signs_and_is_asked(desk, tmp_path):
    desk("keys", "generate", "--out", "anna")
    sign = ("obr", "sign", "--key", "anna", "--out", "a.jws", *ACTIVATE)
    result = run(*sign, cwd=tmp_path)
    assert result.code == 3
    assert not (tmp_path / "a.jws").exists()
    refusal = run_on_terminal(*sign, answer="n\n", cwd=tmp_path)
    assert refusal.code == 3
    assert not (tmp_path / "a.jws").exists()
    done = run_on_terminal(*sign, answer="y\n", cwd=tmp_path)
    assert done.code == 0
    key_id = read_public_key(tmp_path / "anna.pub").key_id
    assert stable(done.stderr.replace(key_id, "[KEY]")) == snapshot("""\
This is what anna signs (key [KEY]):

action  activate
scope  bank/dev
haircut  0.2500
de minimis  0.00
equal shares  no
jurisdiction  NZ
reference  RBNZ 2026/17
valid from  [TIME]
valid until  [TIME]
number  [UUID]

Sign this? [y/N] y\
""")


def test_a_signed_document_is_checked_with_the_public_key_alone(desk, tmp_path):
    for name in ("bank", "other"):
        desk("keys", "generate", "--type", "p256", "--out", name)
    status = {"kind": "obr-status", "resolution_state": "activated", "haircut_pct": "0.2500", "counts": {"events": 3}}
    file = tmp_path / "status.json"
    file.write_text(attested_text(attest(status, read_signer(tmp_path / "bank", None))))
    for blocked in ({"HTTPS_PROXY": "http://127.0.0.1:9"}, {}):
        assert desk("verify-status", "status.json", "--key", "bank.pub", env=blocked).code == 0
    result = desk("verify-status", "status.json", "--key", "bank.pub", "-o", "json")
    assert result.json["document"] == status
    text = desk("verify-status", "status.json", "--key", "bank.pub").stdout.replace(result.json["key_id"], "[KEY]")
    assert stable(text) == snapshot("""\
kind  obr-status
resolution state  activated
haircut pct  0.2500
counts.events  3

status.json: the signature of [KEY] holds\
""")
    check = ("verify-status", "status.json", "-o", "json", "--key")
    assert refused(desk(*check, "other.pub")) == (1, "ATTESTED_FOREIGN_KEY")
    assert refused(desk(*check, "bank")) == (64, "KEY_INVALID")
    file.write_text(file.read_text().replace("0.2500", "0.2400"))
    assert refused(desk(*check, "bank.pub")) == (1, "ATTESTED_ALTERED")
    file.write_text(json.dumps(status))
    assert refused(desk(*check, "bank.pub")) == (64, "ATTESTED_INVALID")


def test_an_export_is_checked_together_with_its_file(desk, tmp_path):
    desk("keys", "generate", "--type", "p256", "--out", "bank")
    (tmp_path / "events.csv").write_text("event_id\n1\n")
    manifest = {"kind": "obr-export", "file": "events.csv", "sha256": sha256_of(b"event_id\n1\n")}
    (tmp_path / "m.json").write_text(attested_text(attest(manifest, read_signer(tmp_path / "bank", None))))
    check = ("verify-status", "m.json", "--key", "bank.pub", "-o", "json")
    assert desk(*check).code == 0
    (tmp_path / "events.csv").write_text("event_id\n2\n")
    assert refused(desk(*check)) == (1, "EXPORT_ALTERED")
    (tmp_path / "events.csv").unlink()
    assert refused(desk(*check)) == (64, "FILE_UNREADABLE")


def test_two_who_make_the_same_key_make_one(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(run_process, "obr", "keys", "generate", "--out", "anna", cwd=tmp_path) for _ in range(2)]
    assert sorted(each.result().code for each in ends) == [0, 64]
    assert read_signer(tmp_path / "anna", None).public.key_id == read_public_key(tmp_path / "anna.pub").key_id
