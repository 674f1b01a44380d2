"""The resolution's commands on the shared platform, in uat: who may, what is refused by which code, what is on record."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from neonctl.banking.signing.instruction import Instruction
from neonctl.banking.signing.keys import Signer, generate, signer_of
from neonctl_run import run, run_on_terminal, run_process

ENV = ("--env", "uat")
_numbers = count()


@dataclass
class Weekend:
    """A folder for the documents, signers, and the commands of one environment."""

    provisioned: object
    folder: Path
    signers: dict[str, Signer]

    def run(self, *arguments, **more):
        return self.provisioned.run("obr", *arguments, *ENV, "-o", "json", **more)

    def done(self, *arguments):
        result = self.run(*arguments)
        assert result.code == 0, result.stdout + result.stderr
        return result.json

    def refused(self, *arguments) -> tuple[int, str]:
        result = self.run(*arguments)
        assert result.code != 0, result.stdout
        return result.code, result.error["code"]

    def document(self, *names, action="activate", reference="RBNZ 1", scope="bank/uat", at=0, lasting=600, **terms):
        """Files with these signers' signatures over one instruction."""
        now = int(datetime.now(UTC).timestamp()) + at
        if action == "activate":
            terms = {"haircut": "0.2500", "de_minimis": "0.00", "equal_shares": False, **terms}
        instruction = Instruction(action, "NZ", scope, reference, now, now + lasting, str(uuid4()), terms)
        files = [self.folder / f"{next(_numbers)}.jws" for _ in names]
        for name, file in zip(names, files, strict=True):
            file.write_text(instruction.sign(self.signers[name]))
        return [str(file) for file in files]

    def by_regulator(self, **terms):
        (file,) = self.document("rbnz", **terms)
        return ("--instruction", file)

    def by_officers(self, *names, **terms):
        one, other = self.document(*(names or ("anna", "ben")), **terms)
        return ("--emergency", "--officer", one, "--officer", other)

    def add(self, name, kind, *documents):
        public = self.folder / f"{name}.pub"
        public.write_bytes(self.signers[name].public.pem())
        return ("keys", "add", "--name", name, "--kind", kind, "--public-key", str(public), *documents, "--yes")

    def add_by_officers(self, name, kind, **more):
        now = int(datetime.now(UTC).timestamp()) - 60
        terms = {"key_name": name, "key_kind": kind, "valid_from": now, "valid_until": None, **more}
        terms = {"key_id": self.signers[name].public.key_id, **terms}
        one, other = self.document("anna", "ben", action="add-key", **terms)
        return self.add(name, kind, "--officer", one, "--officer", other)


ACTIVATE = ("activate", "--haircut", "0.25", "--reference", "RBNZ 1", "--confirm", "activate-0.2500")


def key() -> tuple[str, str]:
    return ("--idempotency-key", str(uuid4()))


@pytest.fixture(scope="module")
def weekend(provisioned, tmp_path_factory):
    """Anna, Ben and the regulator are registered; at the end the bank is pre-positioned again."""
    names = {"anna": "ed25519", "ben": "p256", "cleo": "ed25519", "rbnz": "p256", "stranger": "ed25519"}
    signers = {name: signer_of(generate(kind)) for name, kind in names.items()}
    found = Weekend(provisioned, tmp_path_factory.mktemp("weekend"), signers)
    for officer in ("anna", "ben"):
        assert found.done(*found.add(officer, "officer"))["authority"] == "BOOTSTRAP"
    assert found.done(*found.add_by_officers("rbnz", "regulator"))["authority"] == "OFFICERS"
    yield found
    if found.done("status")["resolution_state"] == "activated":
        found.done(
            "unwind",
            "--reference",
            "R",
            *key(),
            "--confirm",
            "unwind",
            *found.by_regulator(action="unwind", reference="R", permanent_haircut_sha256=None),
        )
    if found.done("status")["resolution_state"] == "resolved":
        found.done(
            "rearm",
            "--reference",
            "R",
            *key(),
            "--confirm",
            "rearm",
            *found.by_regulator(action="rearm", reference="R"),
        )


@pytest.fixture(scope="module")
def account(provisioned, weekend):
    """A customer with 100.00."""
    rows = provisioned.sql(
        "uat",
        "bank_core",
        "SELECT accounts.open_account('NZD', 'NZ', p_is_internal => true, p_idempotency_key => 'obr-cash')",
        f"SELECT accounts.open_account('NZD', 'NZ', ARRAY['{uuid4()}']::uuid[], p_idempotency_key => 'obr-customer')",
        "SELECT accounts.post_transaction('obr-fund', ARRAY[c.account_id, a.account_id], '{DEBIT,CREDIT}', '{100,100}')"
        " FROM accounts.accounts AS a, accounts.accounts AS c"
        " WHERE a.idempotency_key = 'obr-customer' AND c.idempotency_key = 'obr-cash'",
        "SELECT account_id FROM accounts.accounts WHERE idempotency_key = 'obr-customer'",
    )
    return str(rows[0][0])


def test_each_kind_of_bad_document_has_its_own_code(weekend, account):
    """None of them changes anything."""
    w = weekend
    before = w.done("status")
    act = (*ACTIVATE, *key())
    good = Path(w.document("rbnz")[0]).read_text()
    protected, body, signature = good.split(".")
    altered = w.folder / "altered.jws"
    altered.write_text(f"{protected}.{body}.{signature[:-2]}{'A' if signature[-2] != 'A' else 'Q'}{signature[-1]}")
    broken = w.folder / "broken.jws"
    broken.write_text("not a document")
    wrong = {
        "OBR_INSTRUCTION_ALTERED": ("--instruction", str(altered)),
        "OBR_INSTRUCTION_EXPIRED": w.by_regulator(at=-1200),
        "OBR_INSTRUCTION_NOT_YET_VALID": w.by_regulator(at=1200),
        "OBR_INSTRUCTION_KEY_UNKNOWN": ("--instruction", w.document("stranger")[0]),
        "OBR_INSTRUCTION_KEY_WRONG_KIND": ("--instruction", w.document("anna")[0]),
        "OBR_INSTRUCTION_WRONG_ACTION": w.by_regulator(action="rearm"),
        "OBR_INSTRUCTION_SAME_OFFICER": w.by_officers("anna", "anna"),
        "OBR_INSTRUCTION_PAYLOADS_DIFFER": (
            "--emergency",
            *("--officer", w.document("anna")[0]),
            *("--officer", w.document("ben")[0]),
        ),
    }
    for code, documents in wrong.items():
        assert w.refused(*act, *documents) == (1, code)
    for terms in ({"haircut": "0.2600"}, {"reference": "RBNZ 2"}, {"scope": "bank/prod"}, {"de_minimis": "0.01"}):
        assert w.refused(*act, *w.by_regulator(**terms)) == (1, "OBR_INSTRUCTION_MISMATCH"), terms
    assert w.refused(*act, "--instruction", str(broken)) == (64, "OBR_INSTRUCTION_INVALID")
    assert w.refused(*act, "--instruction", "nowhere") == (64, "FILE_UNREADABLE")
    for usage in ((), ("--emergency",), (*w.by_regulator(), "--emergency"), w.by_officers()[1:]):
        assert w.refused(*act, *usage) == (64, "USAGE")
    after = w.done("status")
    assert {**after, "as_of": None} == {**before, "as_of": None}


def test_the_name_must_be_typed(weekend, account):
    w = weekend
    act = ("activate", "--haircut", "0.25", "--reference", "RBNZ 1", *key(), *w.by_regulator())
    for confirmed in ((), ("--confirm", "activate-0.25"), ("--yes",), ("--confirm", "yes", "--yes")):
        assert w.refused(*act, *confirmed) == (3, "CONFIRMATION_MISSING")
    said = w.run(*act).stderr
    assert "haircut       0.2500" in said
    assert "signed by     rbnz" in said
    surroundings = w.provisioned.environment({"NEONCTL_TARGET": "local"})
    for answer, code in (("activate-0.2500\n", 3), ("prod activate-0.2500\n", 3), ("\x03", 130)):
        result = run_on_terminal(
            "obr", *act, *ENV, answer=answer, question="to do this", cwd=w.provisioned.folder, env=surroundings
        )
        assert result.code == code, result.stderr
    assert w.done("status")["resolution_state"] == "pre_positioned"


def test_a_resolution_from_activation_to_ready_again(weekend, account):
    w = weekend
    first = len(w.provisioned.audit_lines())
    act = (*ACTIVATE, *key(), *w.by_regulator())
    surroundings = w.provisioned.environment({"NEONCTL_TARGET": "local"})
    typed = run_on_terminal(
        "obr",
        *[each for each in act if each not in {"--confirm", "activate-0.2500"}],
        *ENV,
        "-o",
        "json",
        answer="uat activate-0.2500\n",
        question="to do this",
        cwd=w.provisioned.folder,
        env=surroundings,
    )
    assert typed.code == 0, typed.stderr
    event = typed.json
    assert (event["authority"], event["haircut_pct"], event["replayed"]) == ("REGULATOR", "0.2500", False)
    assert w.done(*act) == {**event, "replayed": True}
    changed = (*ACTIVATE, "--idempotency-key", act[act.index("--idempotency-key") + 1])
    assert w.refused(*changed, "--de-minimis", "1.00", *w.by_regulator(de_minimis="1.00")) == (
        1,
        "IDEMPOTENCY_KEY_REUSED",
    )
    assert w.refused(*ACTIVATE, *key(), *act[-2:]) == (1, "OBR_INSTRUCTION_REPLAYED")
    assert w.refused(*ACTIVATE, *key(), *w.by_regulator()) == (1, "ALREADY_ACTIVATED")
    status = w.done("status")
    assert (status["resolution_state"], status["frozen"]["NZD"]) == ("activated", event["total_frozen_amount"])

    releasing = ("release", "--percent", "12.5", "--reference", "REL 1", *key(), "--confirm", "release-12.5")
    released = w.done(*releasing, *w.by_officers(action="release", reference="REL 1", percent="12.50"))
    assert (released["authority"], released["released_pct"]) == ("EMERGENCY", "12.50")

    lost = w.folder / "lost.json"
    lost.write_text(json.dumps({account: "5.00"}))
    digest = hashlib.sha256(lost.read_bytes()).hexdigest()
    unwinding = ("unwind", "--reference", "END 1", *key(), "--confirm", "unwind")
    said = {"action": "unwind", "reference": "END 1"}
    assert w.refused(*unwinding, *w.by_regulator(**said, permanent_haircut_sha256=digest)) == (
        1,
        "OBR_INSTRUCTION_MISMATCH",
    )
    unwound = w.done(
        *unwinding, "--permanent-haircut", str(lost), *w.by_regulator(**said, permanent_haircut_sha256=digest)
    )
    assert unwound["metadata"]["permanent_haircut"]["totals"] == {"NZD": "5.00"}
    balance = w.provisioned.run("balance", "get", account, *ENV, "-o", "json").json
    assert (balance["balance"], balance["available_balance"]) == ("95.00", "95.00")

    rearming = ("rearm", "--reference", "R 1", *key(), "--confirm", "rearm")
    assert w.done(*rearming, *w.by_regulator(action="rearm", reference="R 1"))["status"] == "pre_positioned"
    verified = w.done("events", "--verify")
    assert (verified["intact"], verified["faults"]) == (True, [])
    assert [each["event_type"] for each in verified["events"] if each["authority"]] == [
        "OBR_ACTIVATED",
        "OBR_RELEASED",
        "OBR_UNWOUND",
        "OBR_REARMED",
    ]
    records = [json.loads(line) for line in w.provisioned.audit_lines()[first:]]
    done = [each for each in records if each["what"].startswith("obr.") and each["outcome"] == "done"]
    assert [each["what"] for each in done] == [
        "obr.activate",
        "obr.activate",
        "obr.release",
        "obr.unwind",
        "obr.rearm",
    ]
    assert (done[2]["signed_by"], done[2]["reference"]) == ("anna and ben", "REL 1")
    refused = [each["code"] for each in records if each["outcome"] == "failed"]
    assert refused[-1] == "OBR_INSTRUCTION_MISMATCH"
    kept = w.provisioned.sql(
        "uat",
        "bank_core",
        "SELECT action, outcome, db_user FROM core.audit_log WHERE action ~ '^obr' ORDER BY audit_no",
    )
    assert ("obr.unwind", "done", "bank_core_resolution_officer") in kept
    assert ("obr.activate", "refused", "bank_core_resolution_officer") in kept


def test_keys_are_added_and_revoked_by_two_officers(weekend):
    w = weekend
    assert w.refused(*w.add("cleo", "officer")) == (1, "OBR_INSTRUCTION_MISSING")
    adding = w.add_by_officers("cleo", "officer")
    assert w.refused(*adding[:-1]) == (3, "CONFIRMATION_MISSING")
    wrong = list(adding)
    wrong[wrong.index("cleo")] = "Cleopatra"
    assert w.refused(*wrong) == (1, "OBR_INSTRUCTION_MISMATCH")
    added = w.done(*adding)
    assert w.done(*adding) == {**added, "replayed": True}
    cleo = added["key_id"]
    said = {"action": "revoke-key", "key_id": cleo, "reason": "has left"}
    documents = w.document("anna", "ben", **said)
    revoking = ("keys", "revoke", cleo, "--reason", "has left", "--yes")
    assert w.refused(*revoking) == (64, "USAGE")
    officers = [option for file in documents for option in ("--officer", file)]
    assert w.refused("keys", "revoke", cleo, "--reason", "is ill", "--yes", *officers) == (
        1,
        "OBR_INSTRUCTION_MISMATCH",
    )
    w.done(*revoking, *officers)
    standing = {each["name"]: each["standing"] for each in w.done("keys", "list")["keys"]}
    assert standing == {"anna": "valid", "ben": "valid", "rbnz": "valid", "cleo": "revoked"}
    act = (*ACTIVATE, *key())
    assert w.refused(*act, *w.by_officers("anna", "cleo")) == (1, "OBR_INSTRUCTION_KEY_REVOKED")
    assert w.done("events", "--verify")["intact"]


def test_the_status_is_signed_in_kms_where_the_yaml_names_a_key(weekend, project):
    """The embedded platform's KMS answers boto3, as AWS does."""
    w = weekend
    platform = project.platform
    with closing(
        boto3.client(
            "kms",
            endpoint_url=platform.aws_endpoint_url,
            region_name="ap-southeast-2",
            aws_access_key_id="222222222222",
            aws_secret_access_key="local",
        )
    ) as kms:
        made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    file = project.folder / "config" / "environments" / "uat.yaml"
    file.write_text(f"{file.read_text()}\nresolution:\n  status_key_id: {made['Arn']}\n")
    assert project.run("obr", "status", *ENV, "--signed", "--out", "status.json").code == 0
    assert project.run("obr", "keys", "status-key", *ENV, "--out", "bank.pub").code == 0
    checked = project.run("obr", "verify-status", "status.json", "--key", "bank.pub", "-o", "json")
    assert checked.json["document"]["resolution_state"] == w.done("status")["resolution_state"]
    assert (
        project.run("obr", "status", *ENV, "--signed", "--out", "status.json", "-o", "json").error["code"]
        == "FILE_EXISTS"
    )
    local = w.provisioned.run("obr", "keys", "status-key", *ENV, "--out", str(project.folder / "local.pub"))
    assert local.code == 0
    other = project.run("obr", "verify-status", "status.json", "--key", "local.pub", "-o", "json")
    assert (other.code, other.error["code"]) == (1, "ATTESTED_FOREIGN_KEY")


def test_without_a_key_a_status_is_not_signed(weekend, project):
    result = run("obr", "status", *ENV, "--signed", "-o", "json", cwd=project.folder, env=project.cloud())
    assert (result.code, result.error["code"]) == (64, "STATUS_KEY_MISSING")
    project.run("obr", "keys", "generate", "--type", "p256", "--out", "k")
    signed = project.run("obr", "status", *ENV, "--signed", "--key", "k")
    assert signed.json["document"]["environment"] == "uat"
    project.run("obr", "keys", "generate", "--out", "e")
    refused = project.run("obr", "status", *ENV, "--signed", "--key", "e", "-o", "json")
    assert (refused.code, refused.error["code"]) == (64, "STATUS_KEY_INVALID")


def test_the_record_is_exported_with_a_manifest(weekend):
    w = weekend
    public = str(w.folder / "bank.pub")
    w.done("keys", "status-key", "--out", public)
    for form in ("csv", "json"):
        out = w.folder / f"record.{form}"
        done = w.done("events", "--export", form, "--out", str(out))
        manifest = Path(done["export"]["manifest"])
        check = ("obr", "verify-status", str(manifest), "--key", public, "-o", "json")
        assert w.provisioned.run(*check).json["document"]["events"] == len(done["events"])
        assert w.refused("events", "--export", form, "--out", str(out)) == (64, "FILE_EXISTS")
        out.write_bytes(out.read_bytes() + b" ")
        assert w.provisioned.run(*check).error["code"] == "EXPORT_ALTERED"
    assert w.refused("events", "--out", "x") == (64, "USAGE")


def test_the_record_is_held_against_what_is_kept_elsewhere(weekend):
    w = weekend
    export, status = w.folder / "kept.json", w.folder / "kept-status.json"
    w.done("reconcile")
    w.done("events", "--export", "json", "--out", str(export))
    w.done("status", "--signed", "--out", str(status))
    w.done("reconcile")
    for file in (export, f"{export}.manifest.json", status):
        assert w.done("events", "--verify", "--against", str(file))["faults"] == []
    other = json.loads(export.read_text())
    link = next(each for each in other["chain"] if each["relation"] == "core.obr_partition_events")
    link["link_hash"] = "00" * 32  # the file of another bank, or another bank than the file's
    forged = w.folder / "forged.json"
    forged.write_text(json.dumps(other))
    result = w.run("events", "--verify", "--against", str(forged))
    assert (result.code, result.json["intact"]) == (1, False)
    assert [each["subject"] for each in result.json["faults"]] == [f"event {link['row_key']}"]
    elsewhere = json.loads(status.read_text())
    elsewhere["document"]["environment"] = "prod"
    for text in (json.dumps(elsewhere), "{}", "[" * 100_000, '{"chain": [{"link_no": 1e999, "link_hash": ""}]}'):
        forged.write_text(text)
        assert w.refused("events", "--verify", "--against", str(forged)) == (64, "OBR_ANCHOR_INVALID")
    assert w.refused("events", "--against", str(export)) == (64, "USAGE")


def test_the_daily_reconciliation_runs_once_a_day_and_finds_what_should_not_be(weekend, provisioned, account):
    def outcome():
        result = provisioned.run("jobs", "run", "--due", *ENV, "-o", "json")
        (found,) = [each for each in result.json["jobs"] if each["job"] == "reconcile"]
        return result.code, found["outcome"], found.get("error", {}).get("code")

    assert outcome()[:2] in {(0, "done"), (0, "nothing")}
    assert outcome() == (0, "nothing", None)
    assert weekend.done("reconcile")["differences"] == 0

    def tamper(amount: str) -> None:
        guard = "trg_accounts_money"
        provisioned.sql(
            "uat",
            "bank_core",
            "SET ROLE bank_core_migrate_user",
            f"ALTER TABLE accounts.accounts DISABLE TRIGGER {guard}",
            f"UPDATE accounts.accounts SET obr_frozen_amount = {amount} WHERE account_id = '{account}'",
            f"ALTER TABLE accounts.accounts ENABLE ALWAYS TRIGGER {guard}",
        )

    tamper("1")
    try:
        result = weekend.run("reconcile")
    finally:
        tamper("0")
    assert (result.code, result.json["differences"]) == (1, 1)
    assert account in json.dumps(result.json["metadata"])


def test_two_at_once_are_one_activation(weekend, account):
    w = weekend
    acts = [(*ACTIVATE, *key(), *w.by_regulator()) for _ in range(2)]
    surroundings = w.provisioned.environment({"NEONCTL_TARGET": "local"})

    def start(act):
        return run_process("obr", *act, *ENV, "-o", "json", cwd=w.provisioned.folder, env=surroundings)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(start, acts))
    assert sorted(each.code for each in results) == [0, 1]
    assert {each.error["code"] for each in results if each.code} == {"ALREADY_ACTIVATED"}


def test_nothing_private_is_said_or_kept(weekend, provisioned, tmp_path):
    """A key with a passphrase signs and is used; neither is in output, records, the database or on command lines."""
    passphrase = "canary-5f1d-passphrase"
    surroundings = {"NEONCTL_KEY_PASSPHRASE": passphrase}
    results = [provisioned.run("obr", "keys", "generate", "--out", str(tmp_path / "k"), "-v", env=surroundings)]
    sign = ("obr", "sign", "--key", str(tmp_path / "k"), "--action", "rearm", *ENV, "--reference", "R", "--yes", "-v")
    results.append(provisioned.run(*sign, "--out", str(tmp_path / "k.jws"), env=surroundings))
    rearm = ("obr", "rearm", *ENV, "--reference", "R", *key(), "--confirm", "rearm", "-v", "--log-format", "json")
    results.append(provisioned.run(*rearm, "--instruction", str(tmp_path / "k.jws"), env=surroundings))
    assert [each.code for each in results] == [0, 0, 1]
    private = "".join((tmp_path / "k").read_text().splitlines()[1:-1])
    assert len(base64.b64decode(private)) > 100
    kept = "\n".join(provisioned.audit_lines())
    kept += str(provisioned.sql("uat", "bank_core", "SELECT to_jsonb(l) FROM core.audit_log AS l"))
    for text in [kept, *[each.stdout + each.stderr for each in results]]:
        assert passphrase not in text
        assert private[:40] not in text
