"""What the engine remembers of its endpoints: branch, ports and configuration, in one small file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neonctl.errors import ServiceError
from neonctl.local.clusters.files import sync_folder

# Below the ports that Linux and macOS hand to outgoing connections, so that a port is free again at a restart.
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class Ports:
    """The ports of one endpoint on 127.0.0.1, and on ::1 where there is one. They survive restarts."""

    direct: int
    pooled: int


@dataclass(frozen=True)
class ComputeConfig:
    """How a compute runs. ``idle_suspend_seconds`` None: it is never suspended."""

    max_connections: int
    idle_suspend_seconds: int | None
    pool_size: int
    max_client_conn: int
    wal_logical: bool
    read_only: bool = False


@dataclass(frozen=True)
class Endpoint:
    """One endpoint as it is remembered."""

    branch_id: str
    ports: Ports
    config: ComputeConfig


class Registry:
    """Endpoints by id, in a file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._endpoints: dict[str, Endpoint] = {}

    def load(self) -> dict[str, Endpoint]:
        """Read the file. Raises ServiceError when it isn't what ``save`` wrote."""
        with contextlib.suppress(FileNotFoundError):
            try:
                document: dict[str, dict[str, Any]] = json.loads(self._path.read_text())
                self._endpoints = {key: _endpoint(value) for key, value in document.items()}
            except (ValueError, TypeError, KeyError) as error:
                raise ServiceError(
                    "LOCAL_STATE",
                    f"{self._path} is damaged: {type(error).__name__}",
                    hint="start afresh with `neonctl local reset`",
                ) from error
        return dict(self._endpoints)

    def get(self, endpoint_id: str) -> Endpoint:
        """A remembered endpoint; KeyError when there is none."""
        return self._endpoints[endpoint_id]

    def put(self, endpoint_id: str, endpoint: Endpoint) -> None:
        """Remember an endpoint; on return it survives a power cut."""
        self._endpoints[endpoint_id] = endpoint
        self._save()

    def remove(self, endpoint_id: str) -> None:
        """Forget an endpoint."""
        if self._endpoints.pop(endpoint_id, None) is not None:
            self._save()

    def free_ports(self) -> Ports:
        """Two ports that nothing listens on and no endpoint of this engine has."""
        taken = {port for one in self._endpoints.values() for port in (one.ports.direct, one.ports.pooled)}
        direct = _free_port(taken)
        return Ports(direct, _free_port({*taken, direct}))

    def _save(self) -> None:
        part = self._path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({key: asdict(value) for key, value in self._endpoints.items()}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        sync_folder(self._path.parent)


def _endpoint(value: dict[str, Any]) -> Endpoint:
    return Endpoint(value["branch_id"], Ports(**value["ports"]), ComputeConfig(**value["config"]))


def _free_port(taken: Collection[int]) -> int:
    for _ in range(500):
        port = secrets.choice(_PORTS)
        if port not in taken and _is_free(port):
            return port
    raise ServiceError("LOCAL_PORTS", f"no free port was found between {_PORTS.start} and {_PORTS.stop - 1}")


def _is_free(port: int) -> bool:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE or family == socket.AF_INET:
                return False
    return True
