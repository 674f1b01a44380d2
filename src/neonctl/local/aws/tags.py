"""Tags of secrets, parameters and keys: the same rules everywhere, other names for the refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

_MOST = 50
_LONGEST_KEY = 128
_LONGEST_VALUE = 256


def tags_of(db: sqlite3.Connection, kind: str, owner: str) -> dict[str, str]:
    """Tags in the order of their keys."""
    rows = db.execute("SELECT key, value FROM tag WHERE kind = ? AND owner = ? ORDER BY key", (kind, owner))
    return {str(row["key"]): str(row["value"]) for row in rows}


def listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as the APIs list them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def add_tags(
    db: sqlite3.Connection,
    kind: str,
    owner: str,
    tags: Mapping[str, str],
    *,
    refusal: str,
    too_many: str,
) -> None:
    """Add tags or change their values. Raises AwsError(``refusal``) for a bad one, AwsError(``too_many``)."""
    for key, value in tags.items():
        if len(key) > _LONGEST_KEY or len(value) > _LONGEST_VALUE or key.lower().startswith("aws:"):
            raise AwsError(refusal, f"The tag {key[:_LONGEST_KEY]} is not valid")
        db.execute(
            "INSERT INTO tag VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            (kind, owner, key, value),
        )
    if len(tags_of(db, kind, owner)) > _MOST:
        raise AwsError(too_many, f"A resource has at most {_MOST} tags")


def remove_tags(db: sqlite3.Connection, kind: str, owner: str, keys: Sequence[str]) -> None:
    """Remove tags; keys that are not there are no error."""
    db.executemany("DELETE FROM tag WHERE kind = ? AND owner = ? AND key = ?", [(kind, owner, key) for key in keys])
