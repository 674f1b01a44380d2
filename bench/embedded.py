"""A throw-away embedded platform for one benchmark, with latency in front of its APIs when wanted."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.measure import command, python
from neonctl.local.platform import ensure_running, reset
from neonctl.local.state import Platform, set_faults
from neonctl.settings import Settings

LATENCY_MS = 50
#: What a compute has that holds a million accounts; the embedded platform makes do with 16 MB. And no checkpoint
#: between two that are compared: the first to write a page after one pays for it, but not on Neon.
_MEMORY = "shared_buffers = '1GB'\nmax_wal_size = '12GB'\ncheckpoint_timeout = '1h'\n"


@contextlib.contextmanager
def embedded() -> Iterator[Platform]:
    """A fresh platform, started; removed with everything in it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="neonctl-bench-"))
    try:
        yield ensure_running(folder / "platform", progress=lambda _: None)
    finally:
        reset(folder / "platform")
        shutil.rmtree(folder)


def give_memory(platform: Platform) -> None:
    """Start the servers of a provisioned platform anew, with the memory of a real one."""
    neonctl(platform, "local", "down")
    for settings in (platform.data_dir / "engine" / "branches").glob("*/postgresql.auto.conf"):
        with settings.open("a") as file:
            file.write(_MEMORY)
    ensure_running(platform.data_dir, progress=lambda _: None)


@contextlib.contextmanager
def latency(platform: Platform, milliseconds: int = LATENCY_MS) -> Iterator[None]:
    """Every answer of Neon's API and of AWS comes so much later during the block. SQL is not slowed."""
    set_faults(platform, [{"target": target, "latency_ms": milliseconds} for target in ("neon", "aws")])
    try:
        yield
    finally:
        set_faults(platform, [])


def neonctl(platform: Platform, *arguments: str) -> float:
    """Seconds of one neonctl command against a platform."""
    environment = {**os.environ, "NEONCTL_LOCAL_DIR": str(platform.data_dir), "NEONCTL_TARGET": "local"}
    return command(python("-m", "neonctl", *arguments), environment)


def settings(platform: Platform) -> Settings:
    """The settings that ``--local`` makes of a platform."""
    return Settings.from_environment({}).with_local_platform(
        api_url=platform.api_url,
        api_key=platform.api_key,
        org_id=platform.org_id,
        aws_endpoint_url=platform.aws_endpoint_url,
        ca_file=platform.ca_file,
    )
