"""PostgreSQL's programs where the user nobody can run them: beside the data, when they lie in a private folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from neonctl.local.clusters.binaries import PostgresBinaries
from neonctl.local.clusters.files import remove_tree
from neonctl.local.clusters.identity import Identity


def runnable_by(identity: Identity, postgres: PostgresBinaries, copies: Path) -> PostgresBinaries:
    """The same programs, from ``copies`` if this identity cannot run them where they are. Blocks."""
    if identity.user is None or _runs(identity, postgres):
        return postgres
    copied = PostgresBinaries(copies / postgres.folder.name, postgres.major)
    if not (copies.exists() and _runs(identity, copied)):
        part = copies.with_name(copies.name + ".part")
        remove_tree(part)
        remove_tree(copies)
        for name in (postgres.folder.name, "lib", "share"):
            shutil.copytree(postgres.folder.parent / name, part / name, symlinks=True)
        for path in [part, *part.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        part.rename(copies)
    return copied


def _runs(identity: Identity, postgres: PostgresBinaries) -> bool:
    try:
        return identity.run([postgres.program("postgres"), "--version"], folder=Path("/")).returncode == 0
    except PermissionError:
        return False
