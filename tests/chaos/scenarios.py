"""What is applied, and onto what: each scenario is a prepared platform and a configuration to apply."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import yaml

from .site import (
    APPLY,
    CREATE_PREVIEW,
    DELETE_PREVIEW,
    PLAN,
    PREVIEW,
    VERIFY,
    VERIFY_PREVIEW,
    Expected,
    Site,
)

ROOT = Path(__file__).parents[2]
SMALL = "bank_kyc"  # column grants and a publication; with a parameter that names a table added
MIGRATION = """\
CREATE TABLE kyc.watch_notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    note text NOT NULL
);
"""


@dataclass(frozen=True)
class Scenario:
    """``prepare`` brings an empty platform to where ``command`` is cut; ``config`` is what that then gets.

    ``again``: ``command`` once more, and what shows that it is through.
    """

    name: str
    config: Path
    expected: Expected
    prepare: Callable[[Site], None]
    command: Sequence[str] = APPLY
    again: Sequence[Sequence[str]] = (APPLY, PLAN, VERIFY)


def build(name: str, folder: Path) -> Scenario:
    """Write the scenario's configuration into a folder."""
    made = {
        "small": _small,
        "full": _full,
        "changed": _changed,
        "inherited": _inherited,
        "preview": preview,
        "preview-delete": preview_delete,
    }
    return made[name](folder)


NAMES = ("small", "changed", "inherited", "preview", "preview-delete", "full")


def _small(folder: Path) -> Scenario:
    """One environment and one database from nothing."""
    config = write_config(folder / "small", environments=["prod"])
    return Scenario("small", config, expected(config), lambda _: None)


def _full(folder: Path) -> Scenario:
    """The shipped configuration from nothing."""
    config = folder / "full"
    shutil.copytree(ROOT / "config", config / "config")
    shutil.copytree(ROOT / "db", config / "db")
    return Scenario("full", config, expected(config), lambda _: None)


def _changed(folder: Path) -> Scenario:
    """A platform in use on which much has changed: a new compute, extra rights, a lost secret, a new migration."""
    base = write_config(folder / "base", environments=["prod"])
    config = write_config(folder / "changed", environments=["prod"], tags={"reviewed": "yes"})
    migrations = config / "db" / SMALL / "migrations"
    (migrations / "V002__add_watch_notes.sql").write_text(MIGRATION)
    (migrations / "U002__add_watch_notes_rollback.sql").write_text("DROP TABLE kyc.watch_notes;\n")

    def prepare(site: Site) -> None:
        done(site, base)
        with owner(site, "prod") as connection:
            for statement in (
                f"GRANT CONNECT ON DATABASE {SMALL} TO PUBLIC",
                f"GRANT ALL ON SCHEMA kyc TO {SMALL}_readonly",
                f"GRANT DELETE ON party.parties TO {SMALL}_readonly",
                f"ALTER ROLE {SMALL}_app_user CONNECTION LIMIT 7",
                f"GRANT {SMALL}_migrate_user TO {SMALL}_app_user",
                f"DROP PUBLICATION {SMALL}_cdc",
            ):
                connection.execute(statement)
        secrets = site.aws("secretsmanager", "prod")
        secrets.delete_secret(SecretId=f"bank-neon/prod/{SMALL}/readonly", RecoveryWindowInDays=7)
        _replace_compute(site)

    return Scenario("changed", config, expected(config), prepare)


def _inherited(folder: Path) -> Scenario:
    """A lower environment made anew from a production that is in use, while its old secrets are still there."""
    config = write_config(folder / "inherited", environments=["prod", "uat"])

    def prepare(site: Site) -> None:
        done(site, config)
        with owner(site, "prod") as connection:
            connection.execute(f"SET ROLE {SMALL}_migrate_user")
            connection.execute("CREATE TABLE kyc.by_hand (id int PRIMARY KEY)")
            connection.execute("DROP TABLE kyc.by_hand")
        with site.neon() as neon:
            project_id, branches = _project(site, neon)
            neon.delete(f"/projects/{project_id}/branches/{branches['uat']}").raise_for_status()
            site.settle(neon, project_id)

    return Scenario("inherited", config, expected(config), prepare)


def preview(folder: Path) -> Scenario:
    """The preview of a pull request that brings a migration, from nothing."""
    base, config = _with_previews(folder)
    again = (CREATE_PREVIEW, VERIFY_PREVIEW)
    return Scenario("preview", config, with_preview(config), lambda site: done(site, base), CREATE_PREVIEW, again)


def preview_delete(folder: Path) -> Scenario:
    """The same preview, deleted."""
    base, config = _with_previews(folder)

    def prepare(site: Site) -> None:
        done(site, base)
        done(site, config, CREATE_PREVIEW)

    return Scenario("preview-delete", config, expected(config), prepare, DELETE_PREVIEW, (DELETE_PREVIEW,))


def _with_previews(folder: Path) -> tuple[Path, Path]:
    """What is applied to dev, and what a pull request makes of it."""
    base = write_config(folder / "main", environments=["prod", "dev", "preview"])
    config = write_config(folder / "preview", environments=["prod", "dev", "preview"])
    migrations = config / "db" / SMALL / "migrations"
    (migrations / "V002__add_watch_notes.sql").write_text(MIGRATION)
    (migrations / "U002__add_watch_notes_rollback.sql").write_text("DROP TABLE kyc.watch_notes;\n")
    return base, config


def with_preview(folder: Path) -> Expected:
    """What must be there while the preview is."""
    base, name = expected(folder), f"pr-{PREVIEW}"
    platform = yaml.safe_load((folder / "config/platform.yaml").read_text())
    roles = platform["databases"][SMALL]["roles"]
    own = ("neon/project-id", "neon/branch-id", "neon/direct-host", "neon/pooled-host", "parties-table")
    return replace(
        base,
        branches=base.branches | {name},
        secrets=base.secrets | {f"bank-neon/{name}/{SMALL}/{role}" for role in roles},
        parameters=frozenset(f"/bank/{name}/{each}" for each in own),
    )


def done(site: Site, config: Path, command: Sequence[str] = APPLY) -> None:
    """Apply, or another command, without a fault."""
    run = site.run(config, command)
    assert run.exit_code == 0, run


# --- configurations -----------------------------------------------------------------------------------------


def write_config(folder: Path, *, environments: list[str], tags: dict[str, str] | None = None) -> Path:
    """The shipped configuration cut down to one database and these environments."""
    platform = yaml.safe_load((ROOT / "config/platform.yaml").read_text())
    platform["databases"] = {SMALL: platform["databases"][SMALL] | {"parameters": {"parties-table": "party.parties"}}}
    (folder / "config/environments").mkdir(parents=True)
    (folder / "config/platform.yaml").write_text(yaml.safe_dump(platform, sort_keys=False))
    for name in environments:
        spec = yaml.safe_load((ROOT / f"config/environments/{name}.yaml").read_text())
        if spec.get("migrations", {}).get("promoted_from") not in environments:
            spec.get("migrations", {}).pop("promoted_from", None)
        spec["roles"].pop("resolution_officer", None)
        spec["aws"]["tags"] |= tags or {}
        (folder / f"config/environments/{name}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    shutil.copytree(ROOT / "db" / SMALL / "migrations", folder / "db" / SMALL / "migrations")
    return folder


def expected(folder: Path) -> Expected:
    """Read off the YAML, without the program."""
    platform = yaml.safe_load((folder / "config/platform.yaml").read_text())
    environments = [yaml.safe_load(path.read_text()) for path in (folder / "config/environments").glob("*.yaml")]
    persistent = [each for each in environments if each.get("kind") != "preview"]
    return Expected(
        project=platform["project"]["name"],
        branches=frozenset(each["branch"]["name"] for each in persistent),
        databases=frozenset(platform["databases"]),
        secrets=frozenset(
            f"bank-neon/{each['stage']}/{database}/{role}"
            for each in persistent
            for database, spec in platform["databases"].items()
            for role in spec["roles"]
        ),
    )


# --- by hand ------------------------------------------------------------------------------------------------


def owner(site: Site, branch: str) -> psycopg.Connection[Any]:
    """A connection as the owner role, as somebody would open one by hand."""
    with site.neon() as neon:
        project_id, branches = _project(site, neon)
        asked = {"branch_id": branches[branch], "database_name": SMALL, "role_name": "bank_owner"}
        uri = neon.get(f"/projects/{project_id}/connection_uri", params=asked).json()["uri"]
    return psycopg.connect(uri, sslmode="verify-full", sslrootcert=str(site.platform.ca_file), autocommit=True)


def _replace_compute(site: Site) -> None:
    """Another compute has another address: every secret of the branch points nowhere."""
    with site.neon() as neon:
        project_id, branches = _project(site, neon)
        branch = f"/projects/{project_id}/branches/{branches['prod']}"
        neon.patch(branch, json={"branch": {"protected": False}}).raise_for_status()
        site.settle(neon, project_id)
        (compute,) = neon.get(f"/projects/{project_id}/endpoints").json()["endpoints"]
        neon.delete(f"/projects/{project_id}/endpoints/{compute['id']}").raise_for_status()
        site.settle(neon, project_id)
        body = {"endpoint": {"branch_id": branches["prod"], "type": "read_write"}}
        neon.post(f"/projects/{project_id}/endpoints", json=body).raise_for_status()
        site.settle(neon, project_id)


def _project(site: Site, neon: Any) -> tuple[str, dict[str, str]]:
    (project,) = site.projects(neon)
    branches = neon.get(f"/projects/{project['id']}/branches").json()["branches"]
    return project["id"], {branch["name"]: branch["id"] for branch in branches}
