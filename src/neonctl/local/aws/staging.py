"""The rules of staging labels in Secrets Manager.

Source: AWS's API text for PutSecretValue and UpdateSecretVersionStage. A label is on at most one version (the
table's primary key sees to that); moving AWSCURRENT moves AWSPREVIOUS to the version that it left; a version
without labels is deprecated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"
_MOST_LABELS = 20


def holder_of(db: sqlite3.Connection, secret_id: int, stage: str) -> str | None:
    """The version that carries ``stage``."""
    row = db.execute(
        "SELECT version_id FROM secret_stage WHERE secret_id = ? AND stage = ?", (secret_id, stage)
    ).fetchone()
    return None if row is None else str(row["version_id"])


def stages_of(db: sqlite3.Connection, secret_id: int, version_id: str) -> list[str]:
    """The labels of one version, sorted."""
    rows = db.execute(
        "SELECT stage FROM secret_stage WHERE secret_id = ? AND version_id = ? ORDER BY stage",
        (secret_id, version_id),
    )
    return [str(row["stage"]) for row in rows]


def versions_to_stages(db: sqlite3.Connection, secret_id: int) -> dict[str, list[str]]:
    """Labelled versions only: deprecated ones are not shown."""
    found: dict[str, list[str]] = {}
    rows = db.execute(
        "SELECT version_id, stage FROM secret_stage WHERE secret_id = ? ORDER BY version_id, stage",
        (secret_id,),
    )
    for row in rows:
        found.setdefault(str(row["version_id"]), []).append(str(row["stage"]))
    return found


def attach(db: sqlite3.Connection, secret_id: int, version_id: str, stages: Sequence[str]) -> None:
    """Move ``stages`` to a version, AWSCURRENT last because it decides where AWSPREVIOUS goes.

    Raises AwsError(LimitExceededException) beyond twenty labels.
    """
    for stage in sorted(set(stages), key=lambda name: name == CURRENT):
        before = holder_of(db, secret_id, stage)
        if before == version_id:
            continue
        _put(db, secret_id, stage, version_id)
        if stage == CURRENT and before is not None:
            _put(db, secret_id, PREVIOUS, before)
    count = db.execute("SELECT count(*) FROM secret_stage WHERE secret_id = ?", (secret_id,)).fetchone()[0]
    if count > _MOST_LABELS:
        raise AwsError(
            "LimitExceededException",
            f"A secret has at most {_MOST_LABELS} staging labels across all versions.",
        )


def move(db: sqlite3.Connection, secret_id: int, stage: str, *, remove_from: str | None, move_to: str | None) -> None:
    """UpdateSecretVersionStage. Both versions must exist (the caller has looked).

    Raises AwsError(InvalidParameterException): a label that is attached must be named by its version, and
    AWSCURRENT can only move, never vanish. A repeated move therefore fails, as AWS documents it: the version
    in RemoveFromVersionId no longer carries the label.
    """
    holder = holder_of(db, secret_id, stage)
    if remove_from is not None and holder != remove_from:
        raise AwsError(
            "InvalidParameterException",
            f"The parameter RemoveFromVersionId must be the version that staging label {stage} is currently "
            f"attached to, {holder or 'which is none'}.",
        )
    if move_to is None:
        if stage == CURRENT:
            raise AwsError(
                "InvalidParameterException",
                f"You can only move staging label {CURRENT} to a different secret version. "
                "It can't be completely removed.",
            )
        db.execute("DELETE FROM secret_stage WHERE secret_id = ? AND stage = ?", (secret_id, stage))
        return
    if remove_from is None and holder not in {None, move_to}:
        raise AwsError(
            "InvalidParameterException",
            f"The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached "
            f"to version {holder}, so you must explicitly reference that version in RemoveFromVersionId.",
        )
    attach(db, secret_id, move_to, [stage])


def _put(db: sqlite3.Connection, secret_id: int, stage: str, version_id: str) -> None:
    db.execute(
        "INSERT INTO secret_stage VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET version_id = excluded.version_id",
        (secret_id, stage, version_id),
    )
