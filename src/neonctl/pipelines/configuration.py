"""The whole configuration in one piece: the YAML, the migration files and the committed privileges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from neonctl.desired.load import load
from neonctl.desired.model import Desired, MigrationRef
from neonctl.desired.preview import preview_number, with_preview
from neonctl.errors import UsageError
from neonctl.frozen import frozen
from neonctl.migrations.files import MigrationFolder, read_folder


@frozen
class Configuration:
    """What is wanted, and the files that migrations run from."""

    desired: Desired
    migrations: Mapping[str, MigrationFolder]


def read_configuration(config_dir: Path, db_dir: Path) -> Configuration:
    """Read ``config/`` and ``db/``. Raises ``ConfigError`` or another ``UsageError`` with every problem at once."""
    desired = load(config_dir)
    if not db_dir.is_dir():  # else every migration would look as if it had never been
        raise UsageError(
            "DB_FOLDER_MISSING",
            f"there is no folder {db_dir} with the migrations",
            hint="run neonctl in the project's folder, or name the right one with --db DIR",
        )
    migrations: dict[str, MigrationFolder] = {}
    privileges: dict[str, tuple[str, ...]] = {}
    for database, spec in desired.platform.databases.items():
        folder = db_dir / database / "migrations"
        if spec.state == "present" and folder.is_dir():
            migrations[database] = read_folder(folder)
        committed = privileges_file(db_dir, database)
        if committed.is_file():
            privileges[database] = tuple(committed.read_text(encoding="utf-8").splitlines())
    references = {
        database: tuple(MigrationRef(version=f.version, script=f.script, checksum=f.checksum) for f in folder.versioned)
        for database, folder in migrations.items()
    }
    repeatables = {
        database: {file.script: file.checksum for file in folder.repeatable} for database, folder in migrations.items()
    }
    return Configuration(
        desired=desired.model_copy(
            update={"migrations": references, "repeatables": repeatables, "privileges": privileges}
        ),
        migrations=migrations,
    )


def with_previews(configuration: Configuration, environments: Iterable[str]) -> Configuration:
    """With each ``pr-N`` among the names as a further environment, where the configuration has previews."""
    desired = configuration.desired
    for name in environments:
        number = preview_number(name)
        if number is not None and desired.preview is not None:
            desired = with_preview(desired, number)
    return replace(configuration, desired=desired)


def privileges_file(db_dir: Path, database: str) -> Path:
    """Where the generated, committed privileges of a database stand."""
    return db_dir / database / "privileges.txt"
