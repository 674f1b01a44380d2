"""Neon's JSON → snapshots. What is missing or of the wrong kind is an error here, never a default."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from neonctl.frozen import frozen
from neonctl.neon import failures
from neonctl.plan.observed import BranchSnapshot, EndpointSnapshot, ProjectSnapshot

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from neonctl.neon.failures import Doing
    from neonctl.neon.transport import Body

USABLE = ("ready", "archived")  # states of a branch that takes queries; an archived one does so slowly


@frozen
class Account:
    """Whose key this is. ``kind``: personal, organization or project (facts.md 1)."""

    kind: str
    account_id: str


@frozen
class Compute:
    """The size of a compute; a field left out is Neon's to choose."""

    min_cu: float | None = None
    max_cu: float | None = None
    suspend_timeout_seconds: int | None = None

    def as_json(self) -> dict[str, float | int]:
        """The fields of Neon's endpoint requests and of ``default_endpoint_settings``."""
        fields = {
            "autoscaling_limit_min_cu": self.min_cu,
            "autoscaling_limit_max_cu": self.max_cu,
            "suspend_timeout_seconds": self.suspend_timeout_seconds,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def fits(self, endpoint: EndpointSnapshot) -> bool:
        """Whether a compute has what is said here."""
        wanted = (self.min_cu, self.max_cu, self.suspend_timeout_seconds)
        present = (endpoint.min_cu, endpoint.max_cu, endpoint.suspend_timeout_seconds)
        return all(want in (None, have) for want, have in zip(wanted, present, strict=True))


@contextmanager
def reading(doing: Doing) -> Generator[None]:
    """Turn a missing or odd field into NEON_UNEXPECTED, without quoting values."""
    problem = None
    try:
        yield
    except KeyError as error:
        problem = f"the field {error} is missing"
    except (TypeError, ValueError, AttributeError):
        problem = "a field has a value of the wrong kind"
    if problem:
        raise failures.unexpected(doing, problem) from None


def account(body: Body) -> Account:
    """``GET /auth``."""
    method = str(body["auth_method"])
    kind = "project" if "project" in method else "organization" if method == "api_key_org" else "personal"
    return Account(kind, str(body["account_id"]))


def project(item: Body) -> ProjectSnapshot:
    """A ``Project``, or a list item that has the optional fields too."""
    settings: Mapping[str, Any] = item.get("settings") or {}
    return ProjectSnapshot(
        id=item["id"],
        name=item["name"],
        region=item["region_id"],
        postgres_version=int(item["pg_version"]),
        history_retention_seconds=int(item["history_retention_seconds"]),
        logical_replication=bool(settings.get("enable_logical_replication", False)),
        store_passwords=bool(item["store_passwords"]),
    )


def branch(item: Body, annotation: Body | None) -> BranchSnapshot:
    """A ``Branch`` with its ``AnnotationData`` (None: it has none)."""
    values: Mapping[str, Any] = (annotation or {}).get("value") or {}
    expires_at = item.get("expires_at")
    return BranchSnapshot(
        id=item["id"],
        name=item["name"],
        parent_id=item.get("parent_id") or None,
        default=bool(item["default"]),
        protected=bool(item["protected"]),
        state=item["current_state"],
        init_source=item.get("init_source") or None,
        expires_at=moment(expires_at) if expires_at else None,
        ttl_seconds=item.get("ttl_interval_seconds"),
        created_at=moment(item["created_at"]),
        annotations={str(k): str(v) for k, v in values.items()},
    )


def endpoint(item: Body) -> EndpointSnapshot:
    """An ``Endpoint``."""
    return EndpointSnapshot(
        id=item["id"],
        branch_id=item["branch_id"],
        host=item["host"],
        min_cu=float(item["autoscaling_limit_min_cu"]),
        max_cu=float(item["autoscaling_limit_max_cu"]),
        suspend_timeout_seconds=int(item["suspend_timeout_seconds"]),
        type=item["type"],
        disabled=bool(item["disabled"]),
    )


def items(body: Body, name: str) -> Iterable[Body]:
    """A list that must be there: its absence is not emptiness."""
    found: object = body[name]
    if not isinstance(found, list):
        raise TypeError(name)
    return cast("list[Body]", found)


def cursor(page: Body, name: str) -> str | None:
    """Where the next page starts: ``cursor`` in most lists, ``next`` in that of branches (facts.md 3)."""
    pagination: Body = page.get("pagination") or {}
    return pagination.get(name) or None


def moment(text: str) -> datetime:
    """RFC 3339 → aware UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def rfc3339(when: datetime) -> str:
    """Aware time → RFC 3339 in UTC with second precision, as ``expires_at`` wants it (facts.md 3)."""
    if when.tzinfo is None:
        raise ValueError("a time without a zone")
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
