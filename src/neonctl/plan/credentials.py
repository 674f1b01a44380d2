"""When a password and its secret must be brought together, judged without reading either.

The role's comment says for which branch and as which secret version its password was set; the secret's tag says
where it points to. Both are visible to a planner that may read no values (security.md 7.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from neonctl.plan.changes import CredentialWork, FieldChange
from neonctl.plan.observed import Addresses, RoleSnapshot, SecretSnapshot

CONNECTION_TAG = "neonctl:connection"
MANAGED_TAG = "neonctl:managed"


def connection_tag(addresses: Addresses) -> str:
    """What the secret's tag says of where it points to: changes whenever a host, port or trust anchor does."""
    text = f"{addresses.direct}|{addresses.pooled}|{addresses.ca_file or ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def credential_work(
    *,
    branch_id: str | None,
    role: RoleSnapshot | None,
    secret: SecretSnapshot | None,
    addresses: Addresses | None,
) -> CredentialWork | None:
    """What is to be done for one role, or None when password and secret agree and point to the right place."""
    if secret is None:
        return "create"
    if secret.deleted:
        return "restore"
    if branch_id is None or role is None:
        return "replace"
    mark = role.mark
    if mark is not None and mark.branch_id != branch_id:
        return "replace"
    if mark is None or mark.version_id != secret.current_version or secret.pending_version is not None:
        return "repair"
    if addresses is None or secret.tags.get(CONNECTION_TAG) != connection_tag(addresses):
        return "readdress"
    return None


def metadata_differences(
    secret: SecretSnapshot, *, kms_key_id: str | None, tags: Mapping[str, str]
) -> tuple[FieldChange, ...]:
    """Tags and key that differ. Tags that the YAML does not name are left alone; so is an unset key."""
    fields: list[FieldChange] = []
    if kms_key_id is not None and secret.kms_key_id != kms_key_id:
        fields.append(FieldChange("kms_key_id", secret.kms_key_id, kms_key_id))
    fields.extend(
        FieldChange(f"tag {name}", secret.tags.get(name), value)
        for name, value in sorted(tags.items())
        if secret.tags.get(name) != value
    )
    return tuple(fields)
