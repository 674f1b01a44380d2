"""Activation among thousands of postings and holds, and against itself: nothing half, nobody spends what is frozen."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal

import psycopg
import pytest

from ledger.proof import problems
from neonctl.banking.resolution_chain import chain_faults
from obr.conftest import Connection, Resolution, claims, refused


def together(works: Sequence[Callable[[], object]]) -> list[psycopg.Error]:
    """All at once, each on a thread; what they raised."""
    start, raised = threading.Barrier(len(works)), list[psycopg.Error]()

    def run(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except psycopg.Error as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def _codes(raised: list[psycopg.Error]) -> list[str]:
    return sorted(error.diag.constraint_name or error.sqlstate or "" for error in raised)


def test_of_many_activations_one_happens(obr: Resolution) -> None:
    obr.customer("100.00")
    conns = [obr.bank.connect("resolution_officer") for _ in range(6)]
    raised = together([lambda conn=conn: obr.activate(conn=conn) for conn in conns])
    assert _codes(raised) == ["ALREADY_ACTIVATED"] * 5
    assert obr.reader.execute("SELECT count(*) FROM core.obr_partition_events").fetchone() == (1,)
    assert obr.reconcile()["differences"] == 0


def test_what_many_put_on_record_at_once_is_one_chain(obr: Resolution) -> None:
    drill = b"SELECT core.obr_record_drill(uuidv7(), 'passed', now(), now(), 0.5, 0, false, 1, sha256('r'), 'key')"
    officers = [obr.bank.connect("resolution_officer") for _ in range(3)]
    apps = [obr.bank.connect("app_user") for _ in range(3)]
    works = [
        *(lambda conn=conn: [conn.execute(drill) for _ in range(5)] for conn in officers),
        *(lambda conn=conn: [obr.reconcile(conn) for _ in range(5)] for conn in apps),
    ]
    assert together(works) == []
    numbers = [row[0] for row in obr.reader.execute("SELECT link_no FROM core.obr_chain ORDER BY link_no")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 30
    with obr.reader.transaction():
        assert chain_faults(obr.reader, doing="looking") == []


def test_one_key_from_many_hands_activates_once(obr: Resolution) -> None:
    documents = [obr.rbnz.sign(claims("activate", haircut="0.25", de_minimis="0.00", equal_shares=False))]
    conns = [obr.bank.connect("resolution_officer") for _ in range(6)]
    answers: list[bool] = []
    works = [
        lambda conn=conn: answers.append(obr.activate(key="day", documents=documents, conn=conn)["replayed"])
        for conn in conns
    ]
    assert together(works) == []
    assert sorted(answers) == [False, *[True] * 5]


def test_the_last_available_dollars_are_spent_once(obr: Resolution) -> None:
    account = obr.customer("100.00")
    obr.activate()
    conns = [obr.bank.connect("app_user") for _ in range(8)]

    def hold(conn: Connection) -> None:
        while True:
            try:
                obr.hold(account, "60.00", conn)
                return
            except psycopg.Error as error:
                if error.diag.constraint_name != "CONCURRENT_MODIFICATION":
                    raise

    works: list[Callable[[], object]] = [lambda conn=conn: obr.spend(account, "60.00", conn) for conn in conns[:4]]
    works += [lambda conn=conn: hold(conn) for conn in conns[4:]]
    assert _codes(together(works)) == ["OBR_FROZEN_BALANCE"] * 7
    assert problems(obr.bank) == []  # pyright: ignore[reportArgumentType]


def test_activation_unwinding_and_standings_amid_postings_and_holds(obr: Resolution) -> None:
    """Money only moves wholly before or after, nothing deadlocks, and after all sums hold."""
    accounts = [obr.customer("100.00") for _ in range(12)]
    done = threading.Event()
    deadlocks: list[str] = []

    def busy(seed: int) -> Callable[[], object]:
        conn, draw = obr.bank.connect("app_user"), random.Random(seed)
        mine, other = obr.customer("100.00"), obr.customer("100.00")  # nobody else locks these

        def step() -> None:
            a, b = draw.sample(accounts, 2)
            kind = draw.random()
            if kind < 0.6:
                obr.move(a, b, f"{draw.randint(1, 3000) / 100:.2f}", conn)
            elif kind < 0.8:
                held = obr.hold(a, "1.00", conn)
                conn.execute("SELECT accounts.release_hold(%s, 'DONE')", [held])
            else:  # a standing and a posting in one transaction
                with conn.transaction():
                    reason = draw.choice([None, "NOTICE_PENDING"])
                    conn.execute("SELECT accounts.set_account_status(%s, 'ACTIVE', %s)", [mine, reason])
                    obr.move(other, mine, "0.01", conn)

        def run() -> None:
            while not done.is_set():
                try:
                    step()
                except psycopg.Error as error:
                    if error.sqlstate in ("40P01", "40001"):
                        deadlocks.append(str(error))
                    assert (error.sqlstate or "").startswith("NB"), error

        return run

    def resolve() -> None:
        try:
            for _ in range(4):
                obr.activate("0.5")
                assert obr.reconcile()["differences"] == 0
                obr.release("50")
                obr.unwind()
                assert obr.reconcile()["differences"] == 0
                obr.rearm()
            obr.activate("0.9")
        finally:
            done.set()

    assert together([*(busy(seed) for seed in range(5)), resolve]) == []
    assert deadlocks == []
    assert obr.reconcile()["differences"] == 0
    assert problems(obr.bank) == []  # pyright: ignore[reportArgumentType]
    total = obr.reader.execute("SELECT sum(balance) FROM accounts.accounts").fetchone()
    assert total == (Decimal("0.00"),)
    # Of each activation: at its instant, frozen and available were the balance.
    wrong = obr.reader.execute(
        "SELECT account_id FROM core.obr_account_partitions WHERE greatest(balance_at, 0) <> frozen_amount + available_amount"
    ).fetchall()
    assert wrong == []


@pytest.mark.parametrize(
    ("role", "work"),
    [
        ("app_user", "SELECT accounts.create_hold(%s, 1, 'early')"),
        ("migrate_user", "UPDATE accounts.accounts SET updated_at = now() WHERE account_id = %s"),
        ("migrate_user", "LOCK TABLE core.ledger_lock IN SHARE MODE"),
    ],
)
def test_who_keeps_an_activation_waiting_is_named(obr: Resolution, role: str, work: str) -> None:
    account = obr.customer("100.00")
    early = obr.bank.connect(role)
    obr.officer.execute("SET lock_timeout = '50ms'")
    with early.transaction():
        early.execute(work.encode(), [account] if "%s" in work else None)
        named = rf"standing still by session {early.info.backend_pid} \(bank_core_{role}\)"
        with pytest.raises(psycopg.errors.LockNotAvailable, match=named):
            obr.activate()
    assert obr.state()["resolution_state"] == "pre_positioned"
    obr.activate()


@pytest.mark.parametrize("role", ["app_user", "readonly", "resolution_officer"])
def test_nobody_locks_an_account_before_the_ledger(obr: Resolution, role: str) -> None:
    """Who held a row so would keep an activation waiting, and would not be named."""
    account = obr.customer("100.00")
    conn = obr.bank.connect(role)
    for text in (
        *(f"SELECT FROM accounts.accounts FOR {lock}" for lock in ("UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE")),
        "LOCK TABLE accounts.accounts IN SHARE MODE",
        "UPDATE accounts.accounts SET status = 'RESTRICTED'",
        "UPDATE accounts.accounts SET updated_at = now()",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute(text.encode())
    early = obr.bank.connect("app_user")
    obr.officer.execute("SET lock_timeout = '5s'")
    with early.transaction():  # what it may lock beside accounts is in nobody's way
        early.execute("SELECT FROM accounts.account_party_relationships WHERE account_id = %s FOR UPDATE", [account])
        obr.activate()


def test_an_owner_who_locks_an_account_is_named(obr: Resolution) -> None:
    account = obr.customer("100.00")
    early = obr.bank.connect("migrate_user")
    obr.officer.execute("SET lock_timeout = '50ms'")
    named = rf"accounts are kept from being written by session {early.info.backend_pid} \(bank_core_migrate_user\)"
    for act in (obr.activate, lambda: obr.release("10"), obr.unwind):
        with early.transaction():
            early.execute("SELECT FROM accounts.accounts WHERE account_id = %s FOR UPDATE", [account])
            with pytest.raises(psycopg.errors.LockNotAvailable, match=named):
                act()
        act()
    assert obr.reconcile()["differences"] == 0


def test_who_reconciles_and_does_not_end_is_named(obr: Resolution) -> None:
    early = obr.bank.connect("app_user")
    obr.officer.execute("SET lock_timeout = '50ms'")
    with early.transaction():
        obr.reconcile(early)
        named = rf"the resolution state is in use by session {early.info.backend_pid} \(bank_core_app_user\)"
        with pytest.raises(psycopg.errors.LockNotAvailable, match=named):
            obr.activate()
    obr.activate()


def test_who_posted_and_then_reconciles_does_not_take_an_activation_down(obr: Resolution) -> None:
    """He would wait for the activation, which waits for him: the deadlock could end either."""
    account = obr.customer("100.00")
    early, officer = obr.bank.connect("app_user"), obr.bank.connect("resolution_officer")
    waiting = threading.Thread(target=lambda: obr.activate(conn=officer))
    early.execute("BEGIN")
    obr.spend(account, "90.00", early)
    assert obr.reconcile(early)["differences"] == 0  # nobody is in the way
    early.execute("ROLLBACK AND CHAIN")
    obr.spend(account, "90.00", early)
    waiting.start()
    _until(obr, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'core.ledger_lock'::regclass)")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        obr.reconcile(early)
    early.execute("ROLLBACK")
    waiting.join()
    assert obr.split(account) == ("25.00", "75.00")


def test_a_posting_under_way_is_waited_for(obr: Resolution) -> None:
    account = obr.customer("100.00")
    early, officer = obr.bank.connect("app_user"), obr.bank.connect("resolution_officer")
    waiting = threading.Thread(target=lambda: obr.activate(conn=officer))
    with early.transaction():
        obr.spend(account, "90.00", early)
        waiting.start()
        _until(
            obr, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'core.ledger_lock'::regclass)"
        )
    waiting.join()
    assert obr.split(account) == ("2.50", "7.50")


def test_a_posting_that_comes_during_activation_waits_and_is_gated(obr: Resolution) -> None:
    account = obr.customer("100.00")
    officer, late = obr.bank.connect("resolution_officer"), obr.bank.connect("app_user")
    raised: list[psycopg.Error] = []

    def spend() -> None:
        try:
            obr.spend(account, "90.00", late)
        except psycopg.Error as error:
            raised.append(error)

    waiting = threading.Thread(target=spend)
    with officer.transaction():
        obr.activate(conn=officer)
        waiting.start()
        _until(
            obr, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'core.ledger_lock'::regclass)"
        )
    waiting.join()
    assert _codes(raised) == ["OBR_FROZEN_BALANCE"]


def test_an_account_opened_during_activation_takes_part(obr: Resolution) -> None:
    officer, late = obr.bank.connect("resolution_officer"), obr.bank.connect("app_user")
    opened: list[object] = []

    def open_one() -> None:
        text = "SELECT account_id FROM accounts.open_account('NZD', 'NZ', ARRAY[gen_random_uuid()])"
        opened.extend(late.execute(text).fetchall())

    waiting = threading.Thread(target=open_one)
    with officer.transaction():
        obr.activate(conn=officer)
        waiting.start()
        _until(
            obr, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'core.ledger_lock'::regclass)"
        )
    waiting.join()
    assert len(opened) == 1
    assert obr.reconcile()["differences"] == 0


def test_no_account_is_opened_in_a_snapshot_from_before(obr: Resolution) -> None:
    """An older snapshot still sees the state from before an activation or an unwinding, and waiting does not help it."""
    obr.customer("100.00")
    text = "SELECT account_id FROM accounts.open_account('NZD', 'NZ', ARRAY[gen_random_uuid()])"
    for act in (obr.activate, obr.unwind):
        for level in (psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE):
            late = obr.bank.connect("app_user")
            late.isolation_level = level
            with late.transaction(force_rollback=True):
                late.execute("SELECT count(*) FROM accounts.accounts")
                if level == psycopg.IsolationLevel.REPEATABLE_READ:
                    act()
                refused("READ_COMMITTED_REQUIRED", lambda late=late: late.execute(text))
        assert obr.reconcile()["differences"] == 0


def test_a_snapshot_of_the_day_is_not_in_the_way(obr: Resolution) -> None:
    for _ in range(20):
        obr.customer("100.00")
    conns = [obr.bank.connect("app_user") for _ in range(2)]
    text = b"SELECT accounts.take_snapshot(%s, (now() AT TIME ZONE 'Pacific/Auckland')::date - 2)"
    works = [lambda conn=conn: conn.execute(text, ["NZ"]) for conn in conns]
    assert together([*works, obr.activate]) == []
    assert obr.reconcile()["differences"] == 0


def _until(obr: Resolution, text: str) -> None:
    conn = obr.bank.connect("superuser")
    while conn.execute(text.encode()).fetchone() != (True,):
        pass
