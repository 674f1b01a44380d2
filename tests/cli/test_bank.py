"""The bank's commands as a user gives them, on the shared platform: results, refusals, records, log lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from inline_snapshot import snapshot

from neonctl_run import stable

ENV = ("--env", "dev")


def json_of(provisioned, *arguments):
    result = provisioned.run(*arguments, *ENV, "-o", "json")
    assert result.code == 0, result.stdout + result.stderr
    return result.json


def refusal(provisioned, *arguments):
    result = provisioned.run(*arguments, *ENV, "-o", "json")
    return result.code, result.error["code"], result.error["retryable"]


@pytest.fixture(scope="module")
def cash(provisioned):
    rows = provisioned.sql(
        "dev", "bank_core", "SELECT account_id FROM accounts.open_account('NZD', 'NZ', p_is_internal => true)"
    )
    return str(rows[0][0])


@pytest.fixture
def account(provisioned, cash):
    """A customer's account with 100.00."""
    key = str(uuid4())
    rows = provisioned.sql(
        "dev",
        "bank_core",
        f"SELECT accounts.open_account('NZD', 'NZ', ARRAY['{uuid4()}']::uuid[], p_idempotency_key => '{key}')",
        f"SELECT accounts.post_transaction('{key}', ARRAY['{cash}', a.account_id]::uuid[], '{{DEBIT,CREDIT}}', '{{100,100}}')"
        f" FROM accounts.accounts AS a WHERE a.idempotency_key = '{key}'",
        f"SELECT account_id FROM accounts.accounts WHERE idempotency_key = '{key}'",
    )
    return str(rows[0][0])


def test_an_account_is_opened_shown_and_closed(provisioned):
    first, second = sorted(str(uuid4()) for _ in range(2))
    key = str(uuid4())
    opening = ("account", "open", "--party", f"{first}:66.6667", "--party", f"{second}:33.3333", "--currency", "AUD")
    opening += ("--jurisdiction", "AU", "--overdraft", "250.00", "--idempotency-key", key)
    opened = json_of(provisioned, *opening)
    assert json_of(provisioned, *opening) == {**opened, "replayed": True}
    shown = json_of(provisioned, "account", "show", opened["account_id"])
    assert {party["party_id"]: party["balance_share_pct"] for party in shown["parties"]} == {
        first: "66.6667",
        second: "33.3333",
    }
    assert (shown["overdraft_limit"], shown["status"], shown["currency"]) == ("250.00", "ACTIVE", "AUD")
    odd = ("account", "set-status", opened["account_id"], "--status", "RESTRICTED", "--reason", "as ordered")
    assert refusal(provisioned, *odd) == (64, "REASON_INVALID", False)
    closing = ("account", "set-status", opened["account_id"], "--status", "CLOSED")
    assert json_of(provisioned, *closing)["changed"]
    assert not json_of(provisioned, *closing)["changed"]
    assert refusal(provisioned, *closing[:-1], "ACTIVE") == (1, "STATUS_TRANSITION_REFUSED", False)


def test_money_moves_and_is_seen(provisioned, account, cash):
    key = str(uuid4())
    pay = ("ledger", "post", "--debit", account, "--credit", cash, "--amount", "12.34", "--idempotency-key", key)
    posted = json_of(provisioned, *pay)
    assert json_of(provisioned, *pay) == {**posted, "replayed": True}
    balance = json_of(provisioned, "balance", "get", account)
    assert {key: balance[key] for key in ("balance", "available_balance", "held", "currency", "version")} == {
        "balance": "87.66",
        "available_balance": "87.66",
        "held": "0.00",
        "currency": "NZD",
        "version": 2,
    }
    assert datetime.fromisoformat(balance["as_of"]).utcoffset() == timedelta(0)
    back = json_of(provisioned, "ledger", "reverse", posted["transaction_id"], "--idempotency-key", key + "r")
    assert back["reverses_transaction_id"] == posted["transaction_id"]
    assert json_of(provisioned, "balance", "get", account)["balance"] == "100.00"
    at = json_of(provisioned, "balance", "at", account, "--at", balance["as_of"])
    assert (at["balance"], at["matches"], at["live"]) == ("87.66", True, None)
    assert json_of(provisioned, "balance", "at", account, "--at", "now")["live"] == "100.00"


def test_a_file_holds_any_number_of_legs(provisioned, account, cash):
    legs = [
        {"account_id": account, "entry_type": "DEBIT", "amount": "3.00"},
        {"account_id": cash, "entry_type": "CREDIT", "amount": "1.00", "currency": "NZD"},
        {"account_id": cash, "entry_type": "CREDIT", "amount": "2.00"},
    ]
    file = provisioned.folder / "legs.json"
    post = ("ledger", "post", "--file", str(file), "--idempotency-key", str(uuid4()))
    file.write_text(json.dumps(legs))
    assert refusal(provisioned, *post) == (1, "INCOMPLETE_TRANSACTION", False)
    for leg in legs:
        leg["currency"] = "NZD"
    file.write_text(json.dumps(legs))
    assert not json_of(provisioned, *post)["replayed"]
    twice = json.dumps(legs).replace('"amount": "3.00"', '"amount": "1.00", "amount": "3.00"')
    floats = json.dumps([{**legs[0], "amount": 3.0}])
    for broken in ("{", "{}", "[]", '[{"account_id": 1}]', floats, twice, "[" * 100_000):
        file.write_text(broken)
        assert refusal(provisioned, *post)[:2] == (64, "LEGS_INVALID")


def test_holds_from_creation_to_sweep(provisioned, account):
    key = str(uuid4())
    create = ("hold", "create", account, "--amount", "40.00", "--payment-id", "pay-1", "--idempotency-key", key)
    hold = json_of(provisioned, *create)
    assert json_of(provisioned, *create)["replayed"]
    assert json_of(provisioned, "balance", "get", account)["available_balance"] == "60.00"
    listed = json_of(provisioned, "hold", "list", account)["holds"]
    assert [(each["hold_id"], each["amount"], each["active"]) for each in listed] == [(hold["hold_id"], "40.00", True)]
    more = ("hold", "create", account, "--amount", "60.01", "--idempotency-key", "x" + key)
    assert refusal(provisioned, *more) == (1, "INSUFFICIENT_FUNDS", False)
    assert json_of(provisioned, "hold", "release", hold["hold_id"], "--reason", "CAPTURED")["released"]
    assert not json_of(provisioned, "hold", "release", hold["hold_id"], "--reason", "AGAIN")["released"]
    assert "swept" in json_of(provisioned, "hold", "sweep")


def test_all_accounts_of_a_party(provisioned):
    party = str(uuid4())
    opened = [
        json_of(provisioned, "account", "open", "--party", party, "--currency", "NZD", "--jurisdiction", "NZ")
        for _ in range(2)
    ]
    found = json_of(provisioned, "balance", "by-party", party)
    assert [each["account_id"] for each in found["accounts"]] == [each["account_id"] for each in opened]
    assert provisioned.run("balance", "by-party", str(uuid4()), *ENV).stdout == "no accounts\n"


def test_what_the_ledger_refuses(provisioned, account, cash):
    post = ("ledger", "post", "--idempotency-key", str(uuid4()))
    pay = (*post, "--debit", account, "--credit", cash)
    assert refusal(provisioned, *pay, "--amount", "100.01") == (1, "INSUFFICIENT_FUNDS", False)
    assert refusal(provisioned, *pay, "--amount", "1.001") == (64, "AMOUNT_INVALID", False)
    assert refusal(provisioned, *pay, "--amount", "1e30") == (64, "AMOUNT_INVALID", False)
    assert refusal(provisioned, *post, "--debit", "me", "--credit", cash, "--amount", "1") == (64, "ID_INVALID", False)
    assert refusal(provisioned, *post) == (64, "USAGE", False)
    unreadable = ("ledger", "post", "--idempotency-key", b"k\xff".decode(errors="surrogateescape"))
    assert refusal(provisioned, *unreadable) == (64, "USAGE", False)
    assert refusal(provisioned, "events", "relay", "--revive", str(2**63)) == (64, "USAGE", False)
    assert refusal(provisioned, "snapshot", "take", "--jurisdiction", "NZ", "--date", "0001-01-01") == (
        64,
        "SNAPSHOT_DATE_INVALID",
        False,
    )
    assert refusal(provisioned, *pay, "--amount", "1.00", "--posting-date", "0001-01-01") == (64, "DATE_INVALID", False)
    assert refusal(provisioned, "balance", "get", str(uuid4())) == (1, "ACCOUNT_NOT_FOUND", False)
    assert refusal(provisioned, "balance", "at", account, "--at", "2026-11-20") == (64, "MOMENT_INVALID", False)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert refusal(provisioned, "balance", "at", account, "--at", later) == (1, "MOMENT_AHEAD", False)
    assert json_of(provisioned, *pay, "--amount", "1.00")["replayed"] is False
    assert refusal(provisioned, *pay, "--amount", "2.00") == (1, "IDEMPOTENCY_KEY_REUSED", False)


def test_an_unknown_environment_is_wrong_usage(provisioned):
    result = provisioned.run("balance", "get", str(uuid4()), "--env", "test", "-o", "json")
    assert (result.code, result.error["code"]) == (64, "UNKNOWN_ENVIRONMENT")


def test_changes_go_on_record_with_their_outcome(provisioned, account, cash):
    before = len(provisioned.audit_lines())
    pay = ("ledger", "post", "--debit", account, "--credit", cash, "--idempotency-key", str(uuid4()))
    more = ("--actor", "anna", "--trace-id", "trace-7")
    provisioned.run(*pay, "--amount", "1.00", *ENV, *more)
    provisioned.run(*pay, "--amount", "2.00", *ENV, *more)
    provisioned.run("balance", "get", account, *ENV, *more)
    done, failed = (json.loads(line) for line in provisioned.audit_lines()[before:])
    assert (done["what"], done["actor"], done["outcome"], done["trace_id"]) == (
        "ledger.post",
        "anna",
        "done",
        "trace-7",
    )
    assert done["transaction_id"]
    assert (failed["outcome"], failed["code"]) == ("failed", "IDEMPOTENCY_KEY_REUSED")
    kept = provisioned.sql(
        "dev",
        "bank_core",
        "SELECT action, target, outcome, actor, db_user, details ->> 'transaction_id', details ->> 'code'"
        " FROM core.audit_log WHERE trace_id = 'trace-7' ORDER BY audit_no",
    )
    who = ("ledger.post", "dev/bank_core")
    assert kept == [
        (*who, "done", "anna", "bank_core_app_user", done["transaction_id"], None),
        (*who, "refused", "anna", "bank_core_app_user", None, "IDEMPOTENCY_KEY_REUSED"),
    ]


def test_every_command_that_changes_the_bank_is_on_its_record(provisioned, account, cash):
    trace = f"trace-{uuid4()}"
    more = (*ENV, "-o", "json", "--trace-id", trace)

    def run(*arguments):
        result = provisioned.run(*arguments, *more)
        assert result.code == 0, result.stderr
        return result.json

    def key():
        return ("--idempotency-key", str(uuid4()))

    opened = run("account", "open", "--party", str(uuid4()), "--currency", "NZD", "--jurisdiction", "NZ", *key())
    run("account", "set-status", opened["account_id"], "--status", "DORMANT")
    posted = run("ledger", "post", "--debit", account, "--credit", cash, "--amount", "1.00", *key())
    run("ledger", "reverse", posted["transaction_id"], *key())
    run("ledger", "seal")
    hold = run("hold", "create", account, "--amount", "1.00", *key())
    run("hold", "release", hold["hold_id"], "--reason", "CANCELLED")
    short = run("hold", "create", account, "--amount", "1.00", "--ttl", "1s", *key())
    run("snapshot", "take", "--jurisdiction", "NZ")
    run("events", "relay")
    expired = "SELECT statement_timestamp() > expires_at FROM accounts.pending_holds WHERE hold_id = '{}'"
    while provisioned.sql("dev", "bank_core", expired.format(short["hold_id"])) != [(True,)]:
        pass
    run("hold", "sweep")
    kept = provisioned.sql(
        "dev",
        "bank_core",
        f"SELECT action FROM core.audit_log WHERE trace_id = '{trace}' AND outcome = 'done' ORDER BY audit_no",
    )
    assert [row[0] for row in kept] == [
        *("account.open", "account.set-status", "ledger.post", "ledger.reverse", "ledger.seal", "hold.create"),
        *("hold.release", "hold.create", "snapshot.take", "events.relay", "hold.sweep"),
    ]


def test_logs_are_structured_and_carry_the_trace_id(provisioned, account):
    more = ("--log-format", "json", "--trace-id", "trace-8")
    create = ("hold", "create", account, "--amount", "1.00", "--idempotency-key", str(uuid4()))
    lines = [json.loads(line) for line in provisioned.run(*create, *ENV, *more).stderr.splitlines()]
    assert [(line["event_type"], line["trace_id"]) for line in lines] == [("hold_created", "trace-8")]
    lines = [json.loads(line) for line in provisioned.run("balance", "get", account, *ENV, *more).stderr.splitlines()]
    assert [line["event_type"] for line in lines] == ["balance_query_served"]
    untraced = provisioned.run(*create[:4], "-1", "--idempotency-key", "k", *ENV, "--log-format", "json")
    assert untraced.code == 64
    untraced = provisioned.run("hold", "sweep", *ENV, "--log-format", "json")
    assert json.loads(untraced.stderr.splitlines()[0])["event_type"] == "trace_id_missing_from_upstream"


def test_each_thing_that_happens_has_its_event_type(provisioned, account, cash):
    """Those of MOD-003, but for what only a fault brings about."""
    more = (*ENV, "--log-format", "json", "--trace-id", "trace-9", "-o", "json")
    holder = provisioned.sql(
        "dev", "bank_core", f"SELECT party_id FROM accounts.account_party_relationships WHERE account_id = '{account}'"
    )

    def said(*arguments):
        lines = [json.loads(line) for line in provisioned.run(*arguments, *more).stderr.splitlines()]
        assert {line.get("trace_id", "trace-9") for line in lines} == {"trace-9"}
        return {line["event_type"] for line in lines if "event_type" in line}

    assert said("balance", "by-party", str(holder[0][0])) == {"balance_multi_query_served"}
    assert said("balance", "at", account, "--at", "now") == {"balance_reconstruction_served"}
    assert said("snapshot", "take", "--jurisdiction", "AU") == {"eod_snapshot_completed"}
    key = str(uuid4())
    create = ("hold", "create", account, "--amount", "1.00", "--ttl", "1s", "--idempotency-key", key)
    hold = json.loads(provisioned.run(*create, *more).stdout)["hold_id"]
    assert said("hold", "release", hold, "--reason", "DONE") == {"hold_released"}
    assert said("hold", "release", hold, "--reason", "not a reason") == {"validation_failed"}
    pay = ("ledger", "post", "--debit", account, "--credit", cash, "--idempotency-key", key)
    assert said(*pay, "--amount", "500.00") == {"request_refused"}
    assert said(*pay, "--amount", "1.00") == {"transaction_posted"}
    assert said("events", "relay") >= {"balance_updated_published", "posting_completed_published"}
    told = provisioned.sql(
        "dev",
        "bank_core",
        f"SELECT t.trace_id, o.trace_id FROM accounts.transactions AS t JOIN core.outbox AS o ON o.aggregate_id ="
        f" t.transaction_id WHERE t.idempotency_key = '{key}'",
    )
    assert told == [("trace-9", "trace-9")]


def test_the_ledger_is_sealed_and_verified(provisioned, account):
    anchor = provisioned.folder / "anchor.json"
    seal = json_of(provisioned, "ledger", "seal", "--export", str(anchor))
    assert json.loads(anchor.read_text())["seal_hash"] == seal["seal_hash"]
    found = json_of(provisioned, "ledger", "verify", "--anchor", str(anchor))
    assert (found["intact"], found["faults"], found["last_seal"]) == (True, [], seal["seal_no"])
    assert found["log_rows"] >= 2
    assert json_of(provisioned, "ledger", "verify", "--account", account)["accounts"] == 1
    assert json_of(provisioned, "ledger", "verify", "--since", str(seal["seal_no"]))["log_rows"] == 0
    text = provisioned.run("ledger", "verify", "--account", account, *ENV).stdout
    assert stable(text) == snapshot("as of [TIME]: 1 accounts, 1 rows of the log, 0 of holds\nintact")
    anchor.write_text(anchor.read_text().replace('"log_rows": ', '"log_rows": 1'))
    assert refusal(provisioned, "ledger", "verify", "--anchor", str(anchor)) == (64, "ANCHOR_INVALID", False)


def test_a_tampered_ledger_ends_with_1_and_names_the_row(provisioned, account):
    table = "core.transaction_log"
    guards = ("trg_transaction_log_append_only", "trg_transaction_log_written_by_trigger")

    def tamper(by: int) -> None:
        provisioned.sql(
            "dev",
            "bank_core",
            "SET ROLE bank_core_migrate_user",
            *[f"ALTER TABLE {table} DISABLE TRIGGER {guard}" for guard in guards],
            f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
            f"UPDATE {table} SET amount = amount + {by} WHERE account_id = '{account}'",
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            *[f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}" for guard in guards],
        )

    tamper(1)
    try:
        result = provisioned.run("ledger", "verify", *ENV, "-o", "json")
    finally:
        tamper(-1)
    assert result.code == 1
    assert {(fault["kind"], fault["row"]) for fault in result.json["faults"]} >= {("altered", f"{account}/1")}
    assert json_of(provisioned, "ledger", "verify", "--account", account)["intact"]


def test_snapshots_jobs_and_events(provisioned, account):
    jobs = json_of(provisioned, "jobs", "run", "--due")["jobs"]
    assert [job["job"] for job in jobs] == ["snapshots", "hold-sweep", "reconcile", "relay", "prune"]
    assert {job["outcome"] for job in jobs} <= {"done", "nothing"}
    again = json_of(provisioned, "jobs", "run", "--due")["jobs"]
    assert {job["outcome"] for job in again} == {"nothing"}
    run = json_of(provisioned, "snapshot", "show", "--jurisdiction", "NZ")
    taken = json_of(provisioned, "snapshot", "take", "--jurisdiction", "NZ", "--date", run["snapshot_date"])
    assert taken["replayed"]
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    early = ("snapshot", "take", "--jurisdiction", "AU", "--date", tomorrow)
    assert refusal(provisioned, *early) == (1, "SNAPSHOT_TOO_EARLY", False)
    assert (
        refusal(provisioned, "snapshot", "show", "--jurisdiction", "NZ", "--date", "2020-01-01")[1]
        == "SNAPSHOT_NOT_FOUND"
    )
    assert json_of(provisioned, "events", "list")["events"] == []
    published = json_of(provisioned, "events", "list", "--state", "published", "--limit", "1")["events"]
    assert published[0]["event_type"].startswith("bank.core.")
    result = provisioned.run("jobs", "run", *ENV)
    assert result.code == 64


def test_events_arrive_on_the_bus(provisioned, account):
    hold = json_of(provisioned, "hold", "create", account, "--amount", "1.00", "--idempotency-key", str(uuid4()))
    assert json_of(provisioned, "events", "relay")["published"] >= 1
    platform = provisioned.platform
    answer = httpx.get(
        f"{platform.aws_endpoint_url}/_local/events", params={"bus": "bank-core", "limit": 1000}, trust_env=False
    )
    mine = [event for event in answer.json()["events"] if event["detail"].get("hold_id") == hold["hold_id"]]
    assert [(event["source"], event["detail_type"], event["dropped"]) for event in mine] == [
        ("bank.core", "bank.core.balance_updated", False)
    ]
    assert mine[0]["detail"]["available_balance"] == "99.00"
