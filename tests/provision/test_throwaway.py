"""Throw-away branches on the embedded platform: what they hold, who gets in, and that they are gone afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from neonctl.desired.model import Desired
from neonctl.errors import NeonctlError
from neonctl.local import state
from neonctl.migrations.files import read_migrations
from neonctl.migrations.history import read_history
from neonctl.migrations.rehearsal import target_state
from neonctl.migrations.rehearse import rehearse
from neonctl.migrations.session import RunSettings
from neonctl.neon.responses import Compute
from neonctl.pipelines.configuration import read_configuration
from neonctl.plan.observed import Address
from neonctl.provision.audit import AuditLog
from neonctl.provision.progress import silent
from neonctl.provision.services import Services
from neonctl.provision.throwaway import throwaway_branch
from neonctl.secret import Secret
from neonctl.settings import Settings
from neonctl_run import scrubbed
from platform_fixture import REPOSITORY, Project, Provisioned

PERSISTENT = {"prod", "uat", "dev"}


def branches(project: Project) -> set[str]:
    return {each.branch for each in state.branches(project.platform) if each.project == "bank"}


@pytest.fixture
def desired() -> Desired:
    return read_configuration(REPOSITORY / "config", REPOSITORY / "db").desired


@pytest.fixture
def services(provisioned: Provisioned, desired: Desired) -> Iterator[Services]:
    platform = provisioned.platform
    settings = Settings.from_environment({}).with_local_platform(
        api_url=platform.api_url,
        api_key=platform.api_key,
        org_id=platform.org_id,
        aws_endpoint_url=platform.aws_endpoint_url,
        ca_file=platform.ca_file,
    )
    opened = Services(settings, desired, purpose="test")
    yield opened
    opened.close()


def copy_of(desired, services, environment="prod", *, purpose="rehearsal", databases=("bank_aml",), **more):
    more = {"now": datetime.now(UTC), "progress": silent, **more}
    return throwaway_branch(desired, services, environment=environment, purpose=purpose, databases=databases, **more)


def stored(services: Services, desired: Desired, environment: str, database: str, kind: str) -> Secret:
    spec = desired.environments[environment]
    name = f"bank-neon/{spec.stage}/{database}/{kind}"
    return services.aws(spec.aws).secrets().read(name)[1].password


def find(services: Services, name: str):
    (project,) = services.neon.find_projects("bank")
    return project.id, next(each for each in services.neon.list_branches(project.id) if each.name == name)


def test_a_copy_has_the_rows_and_only_its_own_passwords(provisioned, desired, services, tmp_path):
    log = tmp_path / "audit.jsonl"
    audit = AuditLog(f"file:{log}", actor=lambda _: "somebody", trace_id="t")
    rows = provisioned.sql("dev", "bank_aml", "SELECT count(*) FROM flyway_schema_history")
    inherited = {
        kind: stored(services, desired, "dev", "bank_aml", kind) for kind in ("app_user", "migrate_user", "readonly")
    }
    (project,) = services.neon.find_projects("bank")
    dev = find(services, "dev")[1]
    owner = services.neon.reveal_password(project.id, dev.id, "bank_owner")
    before = datetime.now(UTC)
    with copy_of(desired, services, "dev", purpose="proof", databases=("bank_aml", "bank_kyc"), audit=audit) as branch:
        _, found = find(services, branch.name)
        assert branch.name.startswith("prove-dev-")
        assert found.id == branch.branch_id
        assert found.parent_id == dev.id
        assert found.expires_at is not None
        assert timedelta(minutes=59) < found.expires_at - before < timedelta(minutes=61)
        (endpoint,) = (each for each in services.neon.list_endpoints(project.id) if each.branch_id == found.id)
        assert Compute(0.25, 0.25).fits(endpoint)
        for database in ("bank_aml", "bank_kyc"):
            with branch.login(database) as connection:
                who = connection.execute("SELECT current_user::text, current_database()::text").fetchone()
                assert who == (f"{database}_migrate_user", database)
        with branch.login("bank_aml") as connection:
            assert connection.execute("SELECT count(*) FROM flyway_schema_history").fetchall() == rows
        address = services.neon.connection(
            project.id, found.id, database="bank_aml", role="bank_owner", pooled=False
        ).address
        for role, password in [("bank_owner", owner), *((f"bank_aml_{k}", p) for k, p in inherited.items())]:
            with pytest.raises(NeonctlError) as refused, services.login(address, "bank_aml", role, password):
                pass
            assert refused.value.code == "POSTGRES_AUTH_FAILED", role
    assert branches(provisioned) == PERSISTENT
    assert log.read_text().count("throwaway.create") == 1
    assert log.read_text().count("throwaway.delete") == 1
    # The environment itself is untouched: its credentials still work.
    assert provisioned.run("verify", "--env", "dev").code == 0


def test_prod_can_be_copied_and_no_plan_hears_of_it(provisioned, desired, services):
    planned = provisioned.run("plan", "--detailed-exitcode")
    record = "SELECT installed_rank, script FROM flyway_schema_history WHERE success ORDER BY 1"
    there = provisioned.sql("prod", "bank_aml", record)
    assert there
    with copy_of(desired, services) as branch, branch.login("bank_aml") as connection:
        assert connection.execute(record.encode()).fetchall() == there
        assert find(services, branch.name)[1].protected is False
        now = provisioned.run("plan", "--detailed-exitcode")
        assert (now.code, now.stdout) == (planned.code, planned.stdout)
    assert branches(provisioned) == PERSISTENT


def test_pending_migrations_are_rehearsed_on_a_copy_of_prod_and_prod_knows_nothing(project, desired, services):
    folder = project.folder / "db" / "bank_aml" / "migrations"
    (folder / "V002__wider.sql").write_text(
        "SELECT 1;\nALTER TABLE aml.screenings ADD reviewed boolean;\n"
        "CREATE TABLE aml.notes (id int PRIMARY KEY);\nINSERT INTO aml.notes VALUES (1);\n"
    )
    (folder / "U002__wider_rollback.sql").write_text("SELECT 1;\n")
    files = read_migrations(folder)
    look = ("prod", "bank_aml", "SELECT to_regclass('aml.notes'), count(*) FROM flyway_schema_history")
    before = project.sql(*look)
    with copy_of(desired, services) as branch, branch.login("bank_aml") as connection:
        rehearsal = rehearse(
            connection,
            database="bank_aml",
            files=files[1:],
            progress=lambda _: None,
            settings=RunSettings(lock_timeout_s=5, statement_timeout_s=60),
            max_lock_s=3600,
        )
    assert rehearsal.problems == ()
    (file,) = rehearsal.files
    assert ("aml.screenings", "ACCESS EXCLUSIVE", 2) in {(e.relation, e.mode, e.line) for e in file.locks}
    assert file.rows == {"aml.notes": 1}
    assert project.sql(*look) == before
    prod = services.aws(desired.environments["prod"].aws).secrets().read("bank-neon/prod/bank_aml/migrate_user")[1]
    address = Address(prod.direct_host, prod.direct_port)
    with services.login(address, "bank_aml", prod.username, prod.password) as real:
        assert rehearsal.target_state == target_state(read_history(real))


def test_any_role_of_a_database_has_a_password_that_only_the_run_knows(provisioned, desired, services):
    inherited = stored(services, desired, "prod", "bank_core", "resolution_officer")
    kinds = ("app_user", "readonly", "resolution_officer")
    with copy_of(desired, services, purpose="drill", databases=("bank_core",), kinds=kinds) as branch:
        assert branch.name.startswith("drill-prod-")
        for kind in kinds:
            with branch.login("bank_core", kind) as connection:
                assert connection.execute("SELECT session_user::text").fetchone() == (f"bank_core_{kind}",)
        project_id, made = find(services, branch.name)
        address = services.neon.connection(
            project_id, made.id, database="bank_core", role="bank_owner", pooled=False
        ).address
        with (
            pytest.raises(NeonctlError) as refused,
            services.login(address, "bank_core", "bank_core_resolution_officer", inherited),
        ):
            pass
        assert refused.value.code == "POSTGRES_AUTH_FAILED"
    assert branches(provisioned) == PERSISTENT


def test_an_error_passes_and_the_branch_is_gone(provisioned, desired, services):
    with pytest.raises(ZeroDivisionError), copy_of(desired, services, "dev"):
        1 / 0  # noqa: B018
    assert branches(provisioned) == PERSISTENT


def test_a_branch_whose_making_failed_is_gone(provisioned, desired, services):
    with pytest.raises(NeonctlError) as caught, copy_of(desired, services, "dev", databases=("bank_none",)):
        pass
    assert caught.value.code == "NOT_PROVISIONED"
    assert "bank_none_migrate_user" in caught.value.message
    assert branches(provisioned) == PERSISTENT


def test_a_branch_that_cannot_be_deleted_is_said_so_and_swept_by_the_next_run(provisioned, desired, services, tmp_path):
    audit = AuditLog(f"file:{tmp_path / 'audit.jsonl'}", actor=lambda _: "somebody", trace_id="t")
    with pytest.raises(NeonctlError) as caught, copy_of(desired, services, "dev", audit=audit) as branch:
        project_id, made = find(services, branch.name)
        services.neon.update_branch(project_id, made.id, expires_at=None)
        services.neon.update_branch(project_id, made.id, protected=True)
    assert caught.value.code == "THROWAWAY_LEFT"
    assert branch.name in caught.value.message
    assert branches(provisioned) == {*PERSISTENT, branch.name}
    services.neon.update_branch(project_id, made.id, protected=False)
    assert [line for line in (tmp_path / "audit.jsonl").read_text().splitlines() if '"failed"' in line]
    with copy_of(desired, services, "dev") as second:  # in its time, it may be another run's
        assert branches(provisioned) == {*PERSISTENT, branch.name, second.name}
    later = datetime.now(UTC) + timedelta(minutes=61)
    with copy_of(desired, services, "dev", now=later) as third:
        assert branches(provisioned) == {*PERSISTENT, third.name}
    assert branches(provisioned) == PERSISTENT


def test_what_must_not_be_copied_is_refused_before_anything_is_made(provisioned, desired, services):
    state.journal(provisioned.platform, clear=True)
    with pytest.raises(NeonctlError) as caught, copy_of(desired, services, "prod", purpose="proof"):
        pass
    assert caught.value.code == "THROWAWAY_REFUSED"
    narrow = desired.platform.neon.model_copy(update={"max_branches": 3})
    tight = desired.model_copy(update={"platform": desired.platform.model_copy(update={"neon": narrow})})
    with pytest.raises(NeonctlError) as caught, copy_of(tight, services, "dev"):
        pass
    assert caught.value.code == "PLAN_LIMIT"
    assert provisioned.changing_calls() == []


def test_an_expiring_branch_is_not_copied(provisioned, desired, services):
    project_id, dev = find(services, "dev")
    expires = datetime.now(UTC) + timedelta(hours=1)
    made = services.neon.create_branch(project_id, name="pr-1", source_id=dev.id, expires_at=expires)
    spec = desired.environments["dev"]
    preview = spec.model_copy(update={"branch": spec.branch.model_copy(update={"name": "pr-1"})})
    other = desired.model_copy(update={"environments": {**desired.environments, "dev": preview}})
    try:
        with pytest.raises(NeonctlError) as caught, copy_of(other, services, "dev"):
            pass
    finally:
        services.neon.delete_branch(project_id, made.id)
    assert caught.value.code == "THROWAWAY_REFUSED"


class Process:
    """The script beside this file, until it says what is waited for."""

    def __init__(self, provisioned: Provisioned, environment: str, until: str) -> None:
        script = str(Path(__file__).with_name("throwaway_process.py"))
        self._process = subprocess.Popen(
            [sys.executable, script, str(REPOSITORY), environment],
            env=scrubbed(provisioned.environment()),
            stdout=subprocess.PIPE,
            text=True,
        )
        self._guard = threading.Timer(60, self._process.kill)
        self._guard.start()
        self.lines: list[str] = []
        self.read_until(until)

    def read_until(self, text: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.strip())
            if text in line:
                return

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        self.read_until("\0")
        assert self._process.stdout is not None
        self._process.stdout.close()
        code = self._process.wait()
        self._guard.cancel()
        return code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_deletes_its_branch_even_when_interrupted_again(provisioned, number):
    process = Process(provisioned, "prod", until="working")
    process.send(number)
    process.read_until("deleting branch")
    process.send(number)
    process.send(number)
    assert process.end() == 130
    assert any(line.startswith("done deleting branch") for line in process.lines)
    assert process.lines[-1] == "interrupted"
    assert branches(provisioned) == PERSISTENT


def test_an_interruption_while_the_branch_is_made_leaves_nothing(provisioned):
    process = Process(provisioned, "dev", until="started branch")
    process.send(signal.SIGINT)
    assert process.end() == 130
    assert "working" not in process.lines
    assert branches(provisioned) == PERSISTENT


def test_what_kill_9_leaves_expires_by_itself_and_is_swept_once_it_has(provisioned, desired, services):
    process = Process(provisioned, "dev", until="working")
    process.send(signal.SIGKILL)
    assert process.end() == -signal.SIGKILL
    (left,) = branches(provisioned) - PERSISTENT
    assert find(services, left)[1].expires_at is not None
    with copy_of(desired, services, "dev", now=datetime.now(UTC) + timedelta(minutes=61)) as branch:
        assert branches(provisioned) == {*PERSISTENT, branch.name}
