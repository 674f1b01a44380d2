"""What Secrets Manager says about a secret without its value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonctl.frozen import frozen
from neonctl.plan.observed import SecretSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypy_boto3_secretsmanager.type_defs import (
        DescribeSecretResponseTypeDef,
        SecretListEntryTypeDef,
        TagTypeDef,
    )

CURRENT = "AWSCURRENT"
PENDING = "AWSPENDING"


@frozen
class SecretMetadata:
    """One line of ``secrets list``: the snapshot and its times (UTC)."""

    snapshot: SecretSnapshot
    created_at: datetime | None
    changed_at: datetime | None
    deleted_at: datetime | None


def holder(versions: Mapping[str, Sequence[str]], stage: str) -> str | None:
    """Return the id of the version that carries a staging label, or None."""
    return next((version for version, stages in versions.items() if stage in stages), None)


def snapshot(answer: DescribeSecretResponseTypeDef) -> SecretSnapshot:
    """DescribeSecret's answer → snapshot."""
    return _snapshot(
        answer["Name"],
        answer.get("VersionIdsToStages", {}),
        deleted="DeletedDate" in answer,
        kms_key_id=answer.get("KmsKeyId"),
        tags=answer.get("Tags", ()),
    )


def listed(entry: SecretListEntryTypeDef) -> SecretMetadata:
    """One entry of ListSecrets → metadata."""
    return SecretMetadata(
        snapshot=_snapshot(
            entry.get("Name", ""),
            entry.get("SecretVersionsToStages", {}),
            deleted="DeletedDate" in entry,
            kms_key_id=entry.get("KmsKeyId"),
            tags=entry.get("Tags", ()),
        ),
        created_at=_utc(entry.get("CreatedDate")),
        changed_at=_utc(entry.get("LastChangedDate")),
        deleted_at=_utc(entry.get("DeletedDate")),
    )


def _snapshot(
    name: str,
    versions: Mapping[str, Sequence[str]],
    *,
    deleted: bool,
    kms_key_id: str | None,
    tags: Iterable[TagTypeDef],
) -> SecretSnapshot:
    current, pending = holder(versions, CURRENT), holder(versions, PENDING)
    return SecretSnapshot(
        name=name,
        current_version=current,
        # After success the label may stay on the current version: only one elsewhere is unfinished work.
        pending_version=None if pending == current else pending,
        deleted=deleted,
        kms_key_id=kms_key_id,
        tags={tag.get("Key", ""): tag.get("Value", "") for tag in tags},
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
