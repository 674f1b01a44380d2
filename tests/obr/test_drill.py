"""A drill on a bank: what it proves when all is well, and that it says so when something is not."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

import pytest
from psycopg import sql

from bank_database import Bank, open_customer, open_internal
from neonctl.banking.drills.conduct import AUTHORITY, Conduct, Doors, Findings, check_ready
from neonctl.banking.drills.depositors import depositor_view
from neonctl.banking.drills.officer import Copy
from neonctl.banking.drills.proofs import as_before, read_figures
from neonctl.banking.drills.report import Parameters, Probe, Proof
from neonctl.banking.drills.timeline import Timeline
from neonctl.banking.statement import Trace
from neonctl.errors import NeonctlError

from .conftest import Resolution

PARTS = ["look", "keys", "activate", "sums", "gate", "reconcile", "unwind", "after"]


def asked(haircut: str = "0.2500", **more: object) -> Parameters:
    facts = {"de_minimis": Decimal("0.00"), "release_percent": None, "shares": "recorded", "authority": AUTHORITY}
    return Parameters(haircut=Decimal(haircut), **{**facts, **more})  # pyright: ignore[reportArgumentType]


@dataclass
class Drilled:
    """What came out, and the parts that were reached."""

    findings: Findings
    parts: list[str]

    @property
    def failed(self) -> set[str]:
        """Names of the statements that did not hold."""
        found: list[Proof | Probe] = [*self.findings.proofs, *self.findings.probes]
        return {each.name for each in found if each.ok is False}

    def proof(self, name: str) -> Proof:
        return next(each for each in self.findings.proofs if each.name == name)

    def probe(self, name: str) -> Probe:
        return next(each for each in self.findings.probes if each.name == name)


def drill(bank: Bank, parameters: Parameters | None = None) -> Drilled:
    """On the bank itself: here it is the copy."""
    doors = Doors(
        *(
            (lambda role=role: closing(bank.connect(role)))
            for role in ("resolution_officer", "app_user", "readonly", "migrate_user")
        )
    )
    timeline = Timeline(lambda title, state: None)
    copy = Copy(scope="bank/drill-test-1", token=uuid4().hex[:8], trace=Trace("somebody", "trace"))
    conduct = Conduct(doors, parameters or asked(), copy, timeline)
    conduct.carry_out(check_ready(bank.connect("readonly"), "test"))
    return Drilled(conduct.findings, [phase.name for phase in timeline.phases])


@pytest.fixture
def mixed(bare: Resolution) -> Resolution:
    """One account of each kind that a drill tries, and some that take no part."""
    app = bare.app
    bare.customer("1000.01")
    bare.customer("90000.01", parties=[uuid4(), uuid4(), uuid4()])
    bare.customer("500.00", overdraft="300.00")
    bare.spend(open_customer(app, overdraft="300.00"), "120.55")
    open_customer(app)
    bare.hold(bare.customer("900.00"), "200.00")
    notice = bare.customer("700.00")
    app.execute("SELECT accounts.set_account_status(%s, 'ACTIVE', 'NOTICE_PENDING')", [notice])
    overseas = open_internal(app, "AUD")
    open_customer(app, money="333.33", source=overseas, currency="AUD")
    australian = open_internal(app, "AUD", "AU")
    open_customer(app, money="444.44", source=australian, currency="AUD", jurisdiction="AU")
    return bare


def test_a_drill_shows_everything_and_leaves_nothing(mixed):
    found = drill(mixed.bank, asked(release_percent=Decimal("12.50"), de_minimis=Decimal("50.00")))
    assert found.findings.failure is None
    assert found.failed == set()
    assert [probe.name for probe in found.findings.probes if probe.ok is None] == []
    assert found.parts == [*PARTS[:6], "release", "released", *PARTS[6:]]
    assert [(each.currency, each.accounts, each.joint) for each in found.findings.sums] == [
        ("AUD", 1, 0),
        ("NZD", 7, 1),
    ]
    assert mixed.state()["resolution_state"] == "resolved"
    left = (
        "SELECT count(*) FROM accounts.accounts WHERE obr_partitioned OR obr_frozen_amount + obr_available_amount > 0"
    )
    assert mixed.reader.execute(left).fetchone() == (0,)
    authorities = "SELECT event_type, authority FROM core.obr_partition_events ORDER BY event_no"
    assert mixed.reader.execute(authorities).fetchall() == [
        ("OBR_ACTIVATED", "REGULATOR"),
        ("OBR_PARTITION_RECONCILED", None),
        ("OBR_RELEASED", "REGULATOR"),
        ("OBR_UNWOUND", "EMERGENCY"),
    ]


def test_what_is_reported_names_nobody(mixed):
    found = drill(mixed.bank)
    said = json.dumps(
        [found.findings.__dict__], default=lambda part: part.__dict__ if hasattr(part, "__dict__") else str(part)
    )
    ids = mixed.reader.execute(
        "SELECT account_id::text FROM accounts.accounts UNION SELECT party_id::text FROM accounts.account_party_relationships"
    ).fetchall()
    assert len(ids) > 15
    assert [each for (each,) in ids if each in said] == []
    assert not re.search(r"eyJ[A-Za-z0-9_-]+\.", said), "no signed document"
    assert "PRIVATE" not in said


@pytest.mark.parametrize("haircut", ["0.0000", "1.0000"])
def test_none_and_all_can_be_frozen(mixed, haircut):
    found = drill(mixed.bank, asked(haircut, shares="equal"))
    assert (found.findings.failure, found.failed) == (None, set())
    if haircut == "1.0000":
        assert found.probe("within").found == "nothing is available"
        assert found.probe("beyond").ok
        assert found.probe("joint").found == "OBR_FROZEN_BALANCE", "what cannot be spent is not said to have been"


def test_a_bank_without_customers_is_drilled_and_nothing_said_to_have_been_tried(bare):
    found = drill(bare.bank)
    assert (found.findings.failure, found.failed) == (None, set())
    assert {probe.ok for probe in found.findings.probes} == {None}


def replaced(bank: Bank, function: str, *changes: tuple[str, str]) -> None:
    """Another body for a function, as its owner may give it."""
    owner = bank.connect("migrate_user")
    (text,) = owner.execute("SELECT pg_get_functiondef(%s::regproc)", [function]).fetchone()
    for old, new in changes:
        assert old in text, f"{function} has no {old!r}"
        text = text.replace(old, new)
    owner.execute(text)


GATE, KEEPER = "core.fn_posting_obr_channel_gate", "accounts.keep_obr_frozen"
LEFT = "greatest(x.balance {} p.signed - x.obr_frozen_amount, 0)"
TAMPERED = {
    "a body that lets everything through, at both gates": (
        [(GATE, "state <> 'activated'", "true"), (KEEPER, "NEW.balance - held < NEW.obr_frozen_amount", "false")],
        {"beyond", "in_parts", "credit_spent", "hold_beyond", "held", "joint", "overseas", "overdraft", "overdrawn"},
    ),
    "credits are not spendable": (
        [
            *(("accounts.apply_postings", LEFT.format(sign), f"least(x.obr_available_amount, {LEFT.format(sign)})") for sign in "+-"),
            (KEEPER, "NEW.obr_available_amount <> greatest(NEW.balance - NEW.obr_frozen_amount, 0)", "false"),
        ],
        {"credit_spent"},
    ),
    "the fraction of a cent is frozen": (
        [("core.obr_partition", "trunc(greatest(a.balance - d, 0) * h, 2)", "ceil(greatest(a.balance - d, 0) * h * 100) / 100")],
        {"haircut"},
    ),
    "accounts under notice are left out": (
        [("core.obr_partition", "a.jurisdiction = p_event.jurisdiction;", "a.jurisdiction = p_event.jurisdiction AND a.restriction_reason IS NULL;")],
        {"population", "reconciled"},
    ),
    "a cent of each account is lost": (
        [("core.obr_partition", "obr_available_amount = greatest(a.balance, 0)", "obr_available_amount = greatest(a.balance - 0.01, 0)")],
        {"sums"},
    ),
    "the evidence is of something else": (
        [("core.obr_partition", "a.log_seq, a.currency, a.balance, a.obr_frozen_amount", "a.log_seq, a.currency, a.balance + 1, a.obr_frozen_amount")],
        {"evidence"},
    ),
    "a joint holder's part is not his share": (
        [("core.obr_split_joint", "trunc(s.balance * s.share / 100, 2)", "trunc(s.balance * s.share / 200, 2)")],
        {"holders"},
    ),
    "the totals on record are others": (
        [("core.obr_totals", "coalesce(sum(c.frozen), 0)", "coalesce(sum(c.frozen), 0) + 1")],
        {"totals"},
    ),
    "one currency stays frozen": (
        [("core.obr_clear", "WHERE a.obr_partitioned;", "WHERE a.obr_partitioned AND a.currency = 'NZD';")],
        {"cleared"},
    ),
    "the unwind keeps a cent": (
        [("core.obr_clear", "SET obr_partitioned = false,", "SET balance = a.balance - 0.01, available_balance = a.available_balance - 0.01, obr_partitioned = false,")],
        {"balances", "as_before", "ledger"},
    ),
    "notice stays lifted": (
        [("core.obr_clear", "THEN (accounts.status_rule(a.status, a.restriction_reason)).allows_debit ELSE", "THEN true ELSE")],
        {"as_before"},
    ),
    "an instruction can be used twice": (
        [("core.refuse_replayed", "IF FOUND THEN", "IF false THEN")],
        {"replay"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_function_fails_the_drill(mixed, what):
    changes, expected = TAMPERED[what]
    for function, old, new in changes:
        replaced(mixed.bank, function, (old, new))
    found = drill(mixed.bank)
    assert found.findings.failure is None
    assert expected <= found.failed, found.failed


def test_wrong_accounts_are_named_ten_at_most(mixed):
    for _ in range(12):
        mixed.customer("10.00")
    replaced(
        mixed.bank, "core.obr_clear", ("WHERE a.obr_partitioned;", "WHERE a.obr_partitioned AND a.currency = 'AUD';")
    )
    proof = drill(mixed.bank).proof("cleared")
    assert proof.found == "19 of 26 accounts are wrong"
    assert len(proof.accounts) == 10


@pytest.mark.parametrize(
    ("table", "trigger"),
    [
        ("accounts.postings", "trg_00_postings_obr_channel_gate"),
        ("accounts.accounts", "trg_accounts_obr_frozen"),
        ("core.obr_partition_events", "trg_obr_partition_events_no_update"),
    ],
)
@pytest.mark.parametrize(
    "how",
    [
        "DROP TRIGGER {trigger} ON {table}",
        "ALTER TABLE {table} DISABLE TRIGGER {trigger}",
        "ALTER TABLE {table} ENABLE TRIGGER {trigger}",
    ],
)
def test_a_guard_that_is_gone_or_asleep_fails_the_drill(mixed, table, trigger, how):
    parts = {"table": sql.Identifier(*table.split(".")), "trigger": sql.Identifier(trigger)}
    mixed.bank.connect("migrate_user").execute(sql.SQL(how).format(**parts))
    found = drill(mixed.bank)
    assert "guards" in found.failed
    assert trigger in found.proof("guards").found


def test_without_both_gates_money_leaves_and_the_drill_says_so(mixed):
    owner = mixed.bank.connect("migrate_user")
    owner.execute("DROP TRIGGER trg_00_postings_obr_channel_gate ON accounts.postings")
    owner.execute("DROP TRIGGER trg_accounts_obr_frozen ON accounts.accounts")
    found = drill(mixed.bank)
    assert found.probe("beyond").found == "done"
    assert {"guards", "beyond", "hold_beyond", "overdraft"} <= found.failed


def test_what_the_bank_refuses_ends_the_drill_and_is_its_finding(mixed):
    superuser = mixed.bank.connect("superuser")
    superuser.execute("SET session_replication_role = replica")
    superuser.execute("ALTER TABLE accounts.account_party_relationships DISABLE TRIGGER ALL")
    superuser.execute(
        "UPDATE accounts.account_party_relationships SET balance_share_pct = 10 WHERE balance_share_pct < 50"
    )
    found = drill(mixed.bank)
    assert found.findings.failure is not None
    assert found.findings.failure[0] == "OBR_SHARES_NOT_100"
    assert found.parts == ["look", "keys", "activate"]
    assert mixed.state()["resolution_state"] == "pre_positioned"


def test_where_officers_are_registered_the_drill_adds_its_own_and_the_guard_is_back(mixed):
    mixed.prepare()
    mixed.activate()
    mixed.unwind()
    mixed.rearm()
    found = drill(mixed.bank)
    assert (found.findings.failure, found.failed) == (None, set())
    assert any("2 officers' keys are registered" in note for note in found.findings.notes)
    asleep = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'core.obr_keys'::regclass AND tgenabled <> 'A'"
    assert mixed.reader.execute(asleep + " AND NOT tgisinternal").fetchone() == (0,)


def test_a_resolved_bank_is_re_armed_and_was_not_ready(obr):
    obr.customer("100.00")
    obr.activate()
    obr.unwind()
    found = drill(obr.bank)
    assert found.findings.failure is None
    assert found.failed == {"ready"}
    assert found.findings.notes[-1] == "The copy was resolved, and was re-armed to be drilled."


def test_there_is_no_drill_of_a_bank_that_is_activated_or_not_under_the_regime(obr):
    obr.activate()
    with pytest.raises(NeonctlError) as refused:
        drill(obr.bank)
    assert refused.value.code == "OBR_DRILL_REFUSED"
    assert "activated" in refused.value.message


def test_a_bank_that_is_normal_has_nothing_to_drill(bare):
    bare.bank.connect("migrate_user").execute("UPDATE core.obr_resolution_state SET resolution_state = 'normal'")
    with pytest.raises(NeonctlError) as refused:
        drill(bare.bank)
    assert refused.value.code == "OBR_DRILL_REFUSED"


def test_depositors_are_counted_as_the_act_does(obr):
    """Its own example: 60,000 alone and half of 90,000 with somebody make 105,000, of which 100,000 are protected."""
    anna, ben = uuid4(), uuid4()
    obr.customer("60000.00", parties=[anna])
    obr.customer("90000.00", parties=[anna, ben])
    obr.spend(open_customer(obr.app, overdraft="300.00", parties=[ben]), "100.00")
    aud = open_internal(obr.app, "AUD")
    open_customer(obr.app, money="70000.00", source=aud, currency="AUD", parties=[ben])
    obr.activate("0.10")
    view = depositor_view(obr.reader)
    assert (view.accounts, view.depositors, view.depositors_over_limit) == (2, 2, 1)
    assert (view.deposits, view.protected, view.unprotected) == tuple(
        map(Decimal, ("150000.00", "145000.00", "5000.00"))
    )
    # Anna's 10,500.00 fall on 100,000 of 105,000; Ben's 4,500.00 on protected money alone.
    assert (view.frozen, view.frozen_of_protected) == (Decimal("15000.00"), Decimal("14500.00"))
    assert view.frozen_of_unprotected == Decimal("500.00")
    assert view.shares == "recorded"


def test_depositors_by_equal_shares_where_that_was_instructed(obr):
    anna, ben = uuid4(), uuid4()

    opened = "SELECT account_id FROM accounts.open_account('NZD', 'NZ', %s::uuid[], %s::numeric[])"
    (account,) = obr.app.execute(opened, [[anna, ben], [90, 10]]).fetchone()
    obr.pay_in(account, "200000.00")
    obr.activate("0.10")
    assert depositor_view(obr.reader).protected == Decimal("120000.00")
    obr.unwind()
    obr.rearm()
    obr.activate("0.10", equal_shares=True)
    view = depositor_view(obr.reader)
    assert (view.shares, view.protected, view.depositors_over_limit) == ("equal", Decimal("200000.00"), 0)


def test_figures_tell_what_two_accounts_exchange(mixed: Resolution) -> None:
    """Sums stay as they are: signs, amounts, standings."""
    source = open_internal(mixed.app)
    owes, owns = open_customer(mixed.app, overdraft="100.00"), open_customer(mixed.app, money="40.00", source=source)
    mixed.move(owes, source, "40.00")
    mixed.app.execute("SELECT accounts.set_account_status(%s, 'RESTRICTED', 'FROZEN')", [owns])
    root = mixed.bank.connect("superuser")
    root.execute("ALTER TABLE accounts.accounts DISABLE TRIGGER USER")
    root.execute("UPDATE accounts.accounts SET overdraft_limit = 100 WHERE account_id = %s", [owns])
    before = read_figures(root)
    for column in ("balance", "available_balance", "status", "restriction_reason", "allows_debit"):
        root.execute(
            f"UPDATE accounts.accounts AS a SET {column} = b.{column} FROM accounts.accounts AS b"
            " WHERE (a.account_id, b.account_id) IN ((%(x)s, %(y)s), (%(y)s, %(x)s))".encode(),
            {"x": owes, "y": owns},
        )
        after = read_figures(root)
        assert [each.balance for each in before] == [each.balance for each in after]
        assert not as_before(before, after).ok, column
        before = after


def test_the_report_says_whether_the_banks_own_keys_would_do(mixed: Resolution) -> None:
    """The drill's own, registered later, do not count."""
    mixed.register(mixed.alice)
    mixed.register(mixed.bob, valid_until=int(time.time()) + 86400)
    keys = drill(mixed.bank).findings.real_keys
    assert keys is not None
    assert (keys.officers, keys.regulators, keys.days) == (2, 0, 30)
    assert [gap.partition(" at ")[0] for gap in keys.gaps] == [
        "no key of the regulator is valid: only the emergency way is left",
        "a key expires",
    ]
