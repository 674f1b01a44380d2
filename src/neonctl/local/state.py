"""What a running platform tells about itself, and the small HTTP client for its own paths."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from neonctl.errors import ServiceError, UsageError
from neonctl.frozen import frozen
from neonctl.secret import Secret

if TYPE_CHECKING:
    from neonctl.local.layout import Layout

_HEALTH_S: Final = 3.0
_REQUEST_S: Final = 30.0


@frozen
class Platform:
    """How to reach a running platform. ``pooler`` is PgBouncer's version, none when it is not installed."""

    api_url: str
    api_key: Secret
    org_id: str
    aws_endpoint_url: str
    aws_region: str
    ca_file: Path
    data_dir: Path
    pid: int
    pooler: str | None


@frozen
class LocalBranch:
    """One branch with the ports of its read_write compute (none without one); ``compute`` is its state."""

    project: str
    project_id: str
    branch: str
    branch_id: str
    state: str
    protected: bool
    compute: str | None
    direct_port: int | None
    pooled_port: int | None


def read_state(layout: Layout) -> Platform | None:
    """What ``platform.json`` says; whether it is still true is another question."""
    try:
        document: dict[str, Any] = json.loads(layout.state_file.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return Platform(
        api_url=document["api_url"],
        api_key=Secret(document["api_key"]),
        org_id=document["org_id"],
        aws_endpoint_url=document["aws_endpoint_url"],
        aws_region=document["aws_region"],
        ca_file=Path(document["ca_file"]),
        data_dir=layout.root,
        pid=document["pid"],
        pooler=document["pooler"],
    )


def answers(platform: Platform) -> bool:
    """Whether the platform accepts its key and says that it is ready."""
    try:
        return _request(platform, "GET", "/_local/health", None, _HEALTH_S)[0] == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False


def branches(platform: Platform) -> list[LocalBranch]:
    """Every branch of every project. Raises ServiceError ``LOCAL_UNREACHABLE``."""
    found: list[LocalBranch] = []
    for item in _ask(platform, "GET", "/_local/branches")["branches"]:
        writer = next((one for one in item["endpoints"] if one["type"] == "read_write"), None)
        found.append(
            LocalBranch(
                project=item["project"],
                project_id=item["project_id"],
                branch=item["branch"],
                branch_id=item["branch_id"],
                state=item["state"],
                protected=item["protected"],
                compute=writer and writer["current_state"],
                direct_port=writer and writer["direct_port"],
                pooled_port=writer and writer["pooled_port"],
            )
        )
    return found


def faults(platform: Platform) -> list[dict[str, Any]]:
    """The fault rules in force with their counters."""
    return _ask(platform, "GET", "/_local/faults")["rules"]


def set_faults(platform: Platform, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put these rules in force instead of all others. Raises UsageError ``FAULT_RULE`` for a wrong one."""
    return _ask(platform, "PUT", "/_local/faults", {"rules": rules})["rules"]


def journal(platform: Platform, *, clear: bool = False) -> list[dict[str, Any]]:
    """The calls since the start or the last clearing, in order; ``clear`` empties it instead."""
    return _ask(platform, "DELETE" if clear else "GET", "/_local/journal")["calls"]


def set_limits(platform: Platform, **limits: int) -> dict[str, Any]:
    """Set the plan's limits: ``branches``, ``protected_branches``, ``root_branches``, ``roles``."""
    return _ask(platform, "PUT", "/_local/limits", limits)


def _ask(platform: Platform, method: str, path: str, body: object = None) -> dict[str, Any]:
    try:
        status, document = _request(platform, method, path, body, _REQUEST_S)
    except (OSError, http.client.HTTPException) as error:
        raise ServiceError(
            "LOCAL_UNREACHABLE", "the local platform does not answer", hint="start it with neonctl local up"
        ) from error
    if status == http.HTTPStatus.BAD_REQUEST:
        raise UsageError("FAULT_RULE", str(document.get("message")))
    if status != http.HTTPStatus.OK:
        raise ServiceError("LOCAL_REFUSED", f"the local platform answered {status}: {document.get('message')}")
    return document


def _request(platform: Platform, method: str, path: str, body: object, timeout_s: float) -> tuple[int, dict[str, Any]]:
    address = urlsplit(platform.api_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {platform.api_key.reveal()}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, cast("dict[str, Any]", json.loads(answer.read()))
    finally:
        connection.close()
