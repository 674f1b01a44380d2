"""What the program relies on from a Neon API: the same for the embedded platform and for Neon itself.

Without NEON_API_HOST and NEON_API_KEY it is the embedded platform's turn; with them, theirs. A project is made, used by
all tests in order of the file, and deleted. NEON_ORG_ID as for the program, NEON_REGION if not aws-ap-southeast-2,
NEON_CA_FILE for an authority of its own.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, LiteralString

import httpx
import psycopg
import pytest

from neonctl.errors import NeonctlError
from neonctl.local.platform import ensure_running, reset
from neonctl.neon.branches import UNCHANGED
from neonctl.neon.client import NeonClient
from neonctl.neon.responses import Compute
from neonctl.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neonctl.neon.connection import ConnectionTarget
    from neonctl.plan.observed import BranchSnapshot, ProjectSnapshot

pytestmark = pytest.mark.timeout(600)
OURS = {"managed-by": "neonctl", "purpose": "conformance"}


@dataclass(frozen=True)
class Target:
    """The API under test, and the authority that its databases' certificates come from."""

    host: str
    key: str
    org_id: str | None
    ca_file: str


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    host, key = os.environ.get("NEON_API_HOST"), os.environ.get("NEON_API_KEY")
    if host and key:
        yield Target(host, key, os.environ.get("NEON_ORG_ID"), os.environ.get("NEON_CA_FILE", "system"))
        return
    folder = tmp_path_factory.mktemp("conformance")
    platform = ensure_running(folder, progress=lambda _: None)
    try:
        yield Target(platform.api_url, platform.api_key.reveal(), platform.org_id, str(platform.ca_file))
    finally:
        reset(folder)


@pytest.fixture(scope="module")
def neon_client(api: Target) -> Iterator[NeonClient]:
    with NeonClient(api_host=api.host, api_key=Secret(api.key), org_id=api.org_id) as client:
        yield client


@pytest.fixture(scope="module")
def project(neon_client: NeonClient, api: Target) -> Iterator[ProjectSnapshot]:
    made = neon_client.create_project(
        name=f"conformance-{uuid.uuid4().hex[:8]}",
        region=os.environ.get("NEON_REGION", "aws-ap-southeast-2"),
        postgres_version=18,
        branch_name="prod",
        owner_role="bank_owner",
        database="bank_core",
        history_retention_seconds=3600,
        min_cu=0.25,
        max_cu=1,
        annotations=OURS,
    )
    yield made
    httpx.delete(
        f"{api.host}/projects/{made.id}", headers={"Authorization": f"Bearer {api.key}"}, timeout=60
    ).raise_for_status()


@pytest.fixture(scope="module")
def prod(neon_client: NeonClient, project: ProjectSnapshot) -> BranchSnapshot:
    return neon_client.list_branches(project.id)[0]


@pytest.fixture(scope="module")
def dev(neon_client: NeonClient, project: ProjectSnapshot, prod: BranchSnapshot) -> BranchSnapshot:
    return neon_client.create_branch(
        project.id, name="dev", source_id=prod.id, annotations=OURS, compute=Compute(0.25, 0.5)
    )


def answer(target: ConnectionTarget, query: LiteralString, ca_file: str) -> object:
    """One value, over a verified connection; None for a statement that gives none."""
    with psycopg.connect(
        host=target.address.host,
        port=target.address.port,
        user=target.username,
        password=target.password.reveal(),
        dbname=target.dbname,
        sslmode="verify-full",
        sslrootcert=ca_file,
        connect_timeout=60,
        prepare_threshold=None,
    ) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else (None,)
    assert row
    return row[0]


def test_the_project_is_found_by_its_exact_name(neon_client: NeonClient, project: ProjectSnapshot):
    assert neon_client.find_projects(project.name) == (neon_client.get_project(project.id),)
    assert neon_client.find_projects(project.name[:-1]) == ()
    assert (project.postgres_version, project.history_retention_seconds) == (18, 3600)


def test_the_default_branch_comes_with_its_name_note_role_and_database(
    neon_client: NeonClient, project: ProjectSnapshot, prod: BranchSnapshot
):
    assert (prod.name, prod.default, prod.state, prod.parent_id) == ("prod", True, "ready", None)
    assert dict(prod.annotations) == OURS
    assert "bank_owner" in neon_client.list_roles(project.id, prod.id)
    assert neon_client.list_databases(project.id, prod.id)["bank_core"] == "bank_owner"
    assert [e.branch_id for e in neon_client.list_endpoints(project.id)] == [prod.id]


@pytest.mark.parametrize("pooled", [False, True])
def test_the_connection_uri_logs_in(
    api: Target, pooled: bool, neon_client: NeonClient, project: ProjectSnapshot, prod: BranchSnapshot
):
    target = neon_client.connection(project.id, prod.id, database="bank_core", role="bank_owner", pooled=pooled)
    assert answer(target, "SELECT current_user", api.ca_file) == "bank_owner"
    assert target.password == neon_client.reveal_password(project.id, prod.id, "bank_owner")


def test_a_branch_is_ready_when_it_is_returned_and_made_once(
    neon_client: NeonClient, project: ProjectSnapshot, prod: BranchSnapshot, dev: BranchSnapshot
):
    assert (dev.state, dev.parent_id, dict(dev.annotations)) == ("ready", prod.id, OURS)
    again = neon_client.create_branch(
        project.id, name="dev", source_id=prod.id, annotations=OURS, compute=Compute(0.25, 0.5)
    )
    assert again.id == dev.id
    assert sorted(b.name for b in neon_client.list_branches(project.id)) == ["dev", "prod"]


def test_a_child_has_its_parents_password(
    neon_client: NeonClient, project: ProjectSnapshot, prod: BranchSnapshot, dev: BranchSnapshot
):
    passwords = [neon_client.reveal_password(project.id, b.id, "bank_owner") for b in (prod, dev)]
    assert passwords[0] == passwords[1]


def test_a_reset_password_is_the_valid_one_when_it_is_returned(
    api: Target, neon_client: NeonClient, project: ProjectSnapshot, dev: BranchSnapshot
):
    before = neon_client.reveal_password(project.id, dev.id, "bank_owner")
    fresh = neon_client.reset_password(project.id, dev.id, "bank_owner")
    assert fresh != before
    target = neon_client.connection(project.id, dev.id, database="bank_core", role="bank_owner", pooled=False)
    assert target.password == fresh
    assert answer(target, "SELECT 1", api.ca_file) == 1


def test_roles_and_databases_come_and_go(
    api: Target, neon_client: NeonClient, project: ProjectSnapshot, dev: BranchSnapshot
):
    neon_client.create_role(project.id, dev.id, "two")
    neon_client.create_role(project.id, dev.id, "two")
    neon_client.create_database(project.id, dev.id, "bank_kyc", "two")
    neon_client.create_database(project.id, dev.id, "bank_kyc", "two")
    assert neon_client.list_databases(project.id, dev.id)["bank_kyc"] == "two"
    target = neon_client.connection(project.id, dev.id, database="bank_kyc", role="two", pooled=False)
    assert answer(target, "SELECT current_database()", api.ca_file) == "bank_kyc"
    assert neon_client.delete_database(project.id, dev.id, "bank_kyc") is True
    assert neon_client.delete_database(project.id, dev.id, "bank_kyc") is False
    assert neon_client.delete_role(project.id, dev.id, "two") is True
    assert neon_client.delete_role(project.id, dev.id, "two") is False


def test_computes_are_resized_started_and_taken_away(
    neon_client: NeonClient, project: ProjectSnapshot, dev: BranchSnapshot
):
    compute = next(e for e in neon_client.list_endpoints(project.id) if e.branch_id == dev.id)
    resized = neon_client.update_endpoint(project.id, compute.id, Compute(0.5, 1))
    assert (resized.min_cu, resized.max_cu) == (0.5, 1)
    assert neon_client.start_endpoint(project.id, compute.id).id == compute.id
    assert neon_client.delete_endpoint(project.id, compute.id) is True
    assert neon_client.delete_endpoint(project.id, compute.id) is False
    made = neon_client.create_endpoint(project.id, dev.id, Compute(0.25, 0.5))
    assert neon_client.create_endpoint(project.id, dev.id, Compute(0.25, 0.5)).id == made.id


def test_a_schema_only_branch_has_tables_but_neither_rows_nor_parent(
    api: Target, neon_client: NeonClient, project: ProjectSnapshot, prod: BranchSnapshot
):
    source = neon_client.connection(project.id, prod.id, database="bank_core", role="bank_owner", pooled=False)
    answer(source, "CREATE TABLE seen AS SELECT 1 AS n", api.ca_file)
    uat = neon_client.create_branch(
        project.id, name="uat", source_id=prod.id, init_source="schema-only", compute=Compute(0.25, 0.5)
    )
    assert (uat.parent_id, uat.state) == (None, "ready")
    target = neon_client.connection(project.id, uat.id, database="bank_core", role="bank_owner", pooled=False)
    assert answer(target, "SELECT count(*) FROM seen", api.ca_file) == 0
    assert neon_client.delete_branch(project.id, uat.id) is True


def test_expiry_and_protection_are_set_and_taken_away(
    neon_client: NeonClient, project: ProjectSnapshot, dev: BranchSnapshot
):
    when = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    short = neon_client.create_branch(project.id, name="pr-1", source_id=dev.id, expires_at=when)
    assert short.expires_at == when
    later = when + timedelta(days=1)
    assert neon_client.update_branch(project.id, short.id, expires_at=later).expires_at == later
    kept = neon_client.update_branch(project.id, short.id, name="pr-2", expires_at=UNCHANGED)
    assert (kept.name, kept.expires_at) == ("pr-2", later)
    assert neon_client.update_branch(project.id, short.id, expires_at=None).expires_at is None
    assert neon_client.update_branch(project.id, short.id, name="pr-2").name == "pr-2"
    assert neon_client.delete_branch(project.id, short.id) is True
    assert neon_client.delete_branch(project.id, short.id) is False


def test_a_protected_branch_is_not_deleted(neon_client: NeonClient, project: ProjectSnapshot, dev: BranchSnapshot):
    assert neon_client.update_branch(project.id, dev.id, protected=True).protected
    try:
        with pytest.raises(NeonctlError):
            neon_client.delete_branch(project.id, dev.id)
    finally:
        assert not neon_client.update_branch(project.id, dev.id, protected=False).protected


def test_the_default_branch_can_be_another_one(
    neon_client: NeonClient, project: ProjectSnapshot, prod: BranchSnapshot, dev: BranchSnapshot
):
    assert neon_client.set_default_branch(project.id, dev.id).default
    assert neon_client.set_default_branch(project.id, prod.id).default
    assert [b.id for b in neon_client.list_branches(project.id) if b.default] == [prod.id]


def test_what_is_not_there_is_told_as_such(neon_client: NeonClient, project: ProjectSnapshot):
    with pytest.raises(NeonctlError) as caught:
        neon_client.get_branch(project.id, "br-none-000000")
    assert caught.value.code == "NEON_NOT_FOUND"


def test_a_wrong_key_is_told_as_such(api: Target):
    with (
        NeonClient(api_host=api.host, api_key=Secret("napi_wrong")) as client,
        pytest.raises(NeonctlError) as caught,
    ):
        client.whoami()
    assert caught.value.code == "NEON_UNAUTHORIZED"


def test_logical_replication_is_switched_on(
    api: Target, neon_client: NeonClient, project: ProjectSnapshot, prod: BranchSnapshot
):
    """Last: it cannot be switched off, and all computes restart."""
    assert neon_client.update_project(project.id, logical_replication=True).logical_replication
    target = neon_client.connection(project.id, prod.id, database="bank_core", role="bank_owner", pooled=False)
    assert answer(target, "SHOW wal_level", api.ca_file) == "logical"
