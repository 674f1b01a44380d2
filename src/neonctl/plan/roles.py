"""Which roles should be there, with which attributes: least privilege (product.md 4, MOD-103)."""

from __future__ import annotations

from neonctl.desired.model import EnvironmentSpec, RoleKind, RoleLimits, role_name
from neonctl.plan.changes import FieldChange, Scalar
from neonctl.plan.observed import RoleSnapshot

_ATTRIBUTES = ("login", "superuser", "createdb", "createrole", "replication", "bypassrls", "inherit", "valid_until")


def wanted_role(database: str, kind: RoleKind, environment: EnvironmentSpec) -> RoleSnapshot:
    """The role as the YAML wants it. Limits that are unset are unmanaged and keep Postgres' defaults here."""
    limits = environment.roles.get(kind, RoleLimits())
    limit = limits.connection_limit
    return RoleSnapshot(
        name=role_name(database, kind),
        replication=kind == "readonly" and environment.cdc,
        connection_limit=-1 if limit is None else limit,
        settings=_settings(limits),
    )


def _settings(limits: RoleLimits) -> dict[str, str]:
    wanted = {
        "statement_timeout": limits.statement_timeout_seconds,
        "lock_timeout": limits.lock_timeout_seconds,
        "idle_in_transaction_session_timeout": limits.idle_in_transaction_timeout_seconds,
    }
    return {name: f"{seconds}s" for name, seconds in wanted.items() if seconds is not None}


def role_differences(wanted: RoleSnapshot, found: RoleSnapshot, *, limit_managed: bool) -> tuple[FieldChange, ...]:
    """What must change on an existing role. Settings that the YAML does not name are left alone."""
    fields: list[FieldChange] = []
    for name in _ATTRIBUTES:
        before: Scalar = getattr(found, name)
        after: Scalar = getattr(wanted, name)
        if before != after:
            fields.append(FieldChange(name, before, after))
    if limit_managed and found.connection_limit != wanted.connection_limit:
        fields.append(FieldChange("connection_limit", found.connection_limit, wanted.connection_limit))
    fields.extend(
        FieldChange(name, found.settings.get(name), value)
        for name, value in sorted(wanted.settings.items())
        if found.settings.get(name) != value
    )
    fields.extend(  # in one database a setting of its own beats the role's
        FieldChange(f"{name} in {database}", value, wanted.settings[name])
        for database, settings in sorted(found.overrides.items())
        for name, value in sorted(settings.items())
        if name in wanted.settings
    )
    return tuple(fields)
