"""How accounts are split: to the cent, by rule, with evidence."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from bank_database import open_customer, open_internal
from neonctl.banking.accounts import Holder, NewAccount, open_account
from obr.conftest import Resolution, claims, refused


def _joint(obr: Resolution, money: str, *shares: str) -> uuid.UUID:
    holders = [Holder(uuid.UUID(int=n + 1), Decimal(share)) for n, share in enumerate(shares)]
    account = open_account(obr.app, NewAccount("NZD", "NZ", holders)).account_id
    obr.pay_in(account, money)
    return account


def _holders(obr: Resolution, account: uuid.UUID) -> list[tuple[str, ...]]:
    return obr.reader.execute(
        "SELECT balance_at::text, frozen_amount::text, available_amount::text FROM core.obr_holder_partitions"
        " WHERE account_id = %s ORDER BY holder_no",
        [account],
    ).fetchall()


@pytest.mark.parametrize(
    ("money", "haircut", "de_minimis", "frozen", "available"),
    [
        ("100.00", "0.25", "0.00", "25.00", "75.00"),
        ("100.01", "0.2500", "0.00", "25.00", "75.01"),  # the cent to the depositor
        ("0.03", "0.3333", "0.00", "0.00", "0.03"),
        ("1000.00", "0.5", "500.00", "250.00", "750.00"),
        ("499.99", "0.5", "500.00", "0.00", "499.99"),
        ("12.34", "0", "0.00", "0.00", "12.34"),
        ("12.34", "1", "0.00", "12.34", "0.00"),
    ],
)
def test_the_split_of_one_account(
    obr: Resolution, money: str, haircut: str, de_minimis: str, frozen: str, available: str
) -> None:
    account = obr.customer(money)
    event = obr.activate(haircut, de_minimis=de_minimis)
    assert obr.split(account) == (frozen, available)
    assert (event["total_frozen_amount"], event["total_available_amount"]) == (Decimal(frozen), Decimal(available))
    assert event["accounts_partitioned"] == 1
    assert _holders(obr, account) == [(money, frozen, available)]


def test_who_takes_part(obr: Resolution) -> None:
    noticed, blocked, dormant, closed = (obr.customer("10.00") for _ in range(4))
    australian = open_customer(obr.app, money="10.00", jurisdiction="AU")
    aud = open_customer(obr.app, money="10.00", currency="AUD", source=open_internal(obr.app, "AUD"))
    overdrawn, empty = open_customer(obr.app, overdraft="100.00"), open_customer(obr.app)
    obr.spend(overdrawn, "30.00")
    obr.spend(closed, "10.00")
    for account, status, reason in (
        (noticed, "ACTIVE", "NOTICE_PENDING"),
        (blocked, "RESTRICTED", "FROZEN"),
        (dormant, "DORMANT", None),
        (closed, "CLOSED", None),
    ):
        obr.app.execute("SELECT accounts.set_account_status(%s, %s, %s)", [account, status, reason])
    refused("NOTICE_PENDING", lambda: obr.spend(noticed, "1.00"))
    event = obr.activate()
    for account in (noticed, blocked, dormant, aud):
        assert obr.split(account) == ("2.50", "7.50")
    for account in (overdrawn, empty, closed):
        assert obr.split(account) == ("0.00", "0.00")
        assert obr.account(account)["partitioned"]
    assert not obr.account(australian)["partitioned"]
    assert not obr.account(obr.till)["partitioned"]
    assert event["accounts_partitioned"] == 7
    assert event["metadata"]["currencies"]["AUD"]["frozen"] == "2.50"
    obr.spend(noticed, "1.00")  # OBR goes before notice (AD-5); other restrictions stay
    refused("ACCOUNT_FROZEN", lambda: obr.spend(blocked, "1.00"))
    obr.unwind()
    refused("NOTICE_PENDING", lambda: obr.spend(noticed, "1.00"))


def test_joint_accounts_are_split_by_holder(obr: Resolution) -> None:
    thirds = _joint(obr, "100.00", "33.3333", "33.3333", "33.3334")
    uneven = _joint(obr, "1000.01", "70", "30")
    cents = _joint(obr, "0.05", "50", "50")
    event = obr.activate("0.25", de_minimis="10.00")
    assert _holders(obr, thirds) == [("33.33", "5.83", "27.50"), ("33.33", "5.83", "27.50"), ("33.34", "5.83", "27.51")]
    assert obr.split(thirds) == ("17.49", "82.51")
    assert _holders(obr, uneven) == [("700.00", "172.50", "527.50"), ("300.01", "72.50", "227.51")]
    assert obr.split(uneven) == ("245.00", "755.01")
    assert _holders(obr, cents) == [("0.02", "0.00", "0.02"), ("0.03", "0.00", "0.03")]
    assert (event["metadata"]["joint_accounts"], event["metadata"]["shares"]) == (3, "BALANCE_SHARE_PCT")


def test_joint_accounts_are_found_even_if_somebody_took_their_mark_away(obr: Resolution) -> None:
    joint, sole = _joint(obr, "0.05", "50", "50"), obr.customer("0.05")
    marks = "SELECT held_jointly FROM accounts.accounts WHERE account_id = ANY(%s) ORDER BY account_id = %s"
    assert obr.reader.execute(marks, [[joint, sole], joint]).fetchall() == [(False,), (True,)]
    root = obr.bank.connect("superuser")
    root.execute("ALTER TABLE accounts.accounts DISABLE TRIGGER USER")
    root.execute(
        "UPDATE accounts.accounts SET held_jointly = NOT held_jointly WHERE account_id = ANY(%s)", [[joint, sole]]
    )
    obr.activate("0.5")
    assert obr.split(joint) == ("0.02", "0.03")  # of 0.02 and of 0.03, a half each, rounded down
    assert obr.split(sole) == ("0.02", "0.03")
    assert obr.account(joint)["frozen"] == str(sum(Decimal(each[1]) for each in _holders(obr, joint)))
    assert obr.reader.execute(marks, [[joint], joint]).fetchall() == [(True,)]


def test_equal_shares_are_a_switch_and_on_record(obr: Resolution) -> None:
    account = _joint(obr, "100.00", "70", "30")
    event = obr.activate("0.1", equal_shares=True)
    assert _holders(obr, account) == [("50.00", "5.00", "45.00")] * 2
    assert event["metadata"]["shares"] == "EQUAL"
    assert event["equal_shares"] is True


def test_shares_that_do_not_sum_to_100_are_refused_before_anything_happens(obr: Resolution) -> None:
    right, wrong = obr.customer("10.00"), _joint(obr, "10.00", "60", "40")
    owner = obr.bank.connect("superuser")
    table = "accounts.account_party_relationships"  # only past its trigger, which looks ahead as well
    owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER trg_acct_party_rel_shares")
    owner.execute(
        f"UPDATE {table} SET balance_share_pct = 30 WHERE account_id = %s AND balance_share_pct = 40", [wrong]
    )
    owner.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER trg_acct_party_rel_shares")
    error = refused("OBR_SHARES_NOT_100", obr.activate)
    assert error.diag.message_detail == str(wrong)
    assert obr.split(right) == ("0.00", "0.00")
    assert obr.state()["resolution_state"] == "pre_positioned"
    assert obr.reader.execute("SELECT count(*) FROM core.obr_account_partitions").fetchone() == (0,)
    assert obr.activate(equal_shares=True)["accounts_partitioned"] == 2


def test_what_is_entered_ahead_does_not_stop_an_activation_on_the_day(obr: Resolution) -> None:
    """A share that ends, or begins, without another's: the day on which it does would be no day to activate on."""
    account, joint = obr.customer("10.00"), _joint(obr, "10.00", "60", "40")
    table = "accounts.account_party_relationships"
    leave = f"UPDATE {table} SET valid_to = now() + interval '1 day' WHERE account_id = %s AND balance_share_pct = 40"
    join = f"INSERT INTO {table} (account_id, party_id, role, balance_share_pct, valid_from)"
    join += " VALUES (%s, gen_random_uuid(), 'HOLDER', %s, now() + interval '1 day')"
    refused("SHARES_NOT_100", lambda: obr.app.execute(leave.encode(), [joint]))
    refused("SHARES_NOT_100", lambda: obr.app.execute(join.encode(), [account, 1]))
    with obr.app.transaction():  # one goes, another comes
        obr.app.execute(leave.encode(), [joint])
        obr.app.execute(join.encode(), [joint, 40])
    assert obr.activate()["accounts_partitioned"] == 2


def test_an_account_without_holders_is_one_depositors(obr: Resolution) -> None:
    account = obr.customer("100.00")
    obr.bank.connect("migrate_user").execute("DELETE FROM accounts.account_party_relationships")
    obr.activate()
    assert _holders(obr, account) == [("100.00", "25.00", "75.00")]


def test_nothing_of_a_product_that_is_not_pre_positioned_is_available(obr: Resolution) -> None:
    term = open_account(obr.app, NewAccount("NZD", "NZ", [Holder(uuid.uuid4())], product_code="TERM")).account_id
    obr.pay_in(term, "100.00")
    obr.officer.execute("INSERT INTO core.products (product_code, obr_prepositioned) VALUES ('TERM', false)")
    event = obr.activate("0.25", de_minimis="50.00")
    assert obr.split(term) == ("100.00", "0.00")
    assert event["metadata"]["not_pre_positioned"] == ["TERM"]
    obr.pay_in(term, "5.00")
    obr.spend(term, "5.00")
    refused("OBR_FROZEN_BALANCE", lambda: obr.spend(term, "0.01"))


def test_evidence_sums_to_the_accounts_and_the_event(obr: Resolution) -> None:
    for cents in range(1, 60, 7):
        _joint(obr, f"{cents}.{cents:02}", "33.3333", "33.3333", "33.3334")
        obr.customer(f"{cents}.01")
    event = obr.activate("0.3333", de_minimis="1.11")
    wrong = obr.reader.execute(
        "SELECT p.account_id FROM core.obr_account_partitions p JOIN (SELECT account_id, sum(balance_at) b,"
        " sum(frozen_amount) f, sum(available_amount) a FROM core.obr_holder_partitions GROUP BY 1) h USING (account_id)"
        " WHERE (p.balance_at, p.frozen_amount, p.available_amount) <> (h.b, h.f, h.a) OR p.balance_at <> h.f + h.a"
    ).fetchall()
    assert wrong == []
    sums = obr.reader.execute(
        "SELECT count(*), sum(frozen_amount), sum(available_amount) FROM core.obr_account_partitions"
    ).fetchone()
    assert sums == (event["accounts_partitioned"], event["total_frozen_amount"], event["total_available_amount"])


@pytest.mark.parametrize(
    ("haircut", "de_minimis"),
    [("1.01", "0.00"), ("-0.1", "0.00"), ("0.12345", "0.00"), ("0.2", "-1"), ("0.2", "0.001"), ("NaN", "0")],
)
def test_terms_that_make_no_sense_are_refused(obr: Resolution, haircut: str, de_minimis: str) -> None:
    document = obr.rbnz.sign(claims("activate", haircut=haircut, de_minimis=de_minimis, equal_shares=False))
    refused("OBR_REQUEST_INVALID", lambda: obr.activate(haircut, de_minimis=de_minimis, documents=[document]))
