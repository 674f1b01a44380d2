from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# On a new machine the first drawn text builds hypothesis' Unicode tables: how long things take is for bench/ to say.
settings.register_profile("neonctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("neonctl")

pytest_plugins = ["postgres_server", "platform_fixture", "bank_database"]

# Every process that is started compiles anew what nobody may keep compiled: most of its processor time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Hundreds of clusters are made and thrown away: in memory where the machine has a file system for that, since
# otherwise the tests mostly wait for the disk. What must survive a power cut is not decided by where it lies.
_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 6 * 2**30

_root = os.environ.get("PYTEST_DEBUG_TEMPROOT")  # the processes that files are shared out to get it from the first
if (
    _root is None
    and _MEMORY.is_dir()
    and os.access(_MEMORY, os.W_OK)
    and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
):
    _root = os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)
if _root is not None:
    tempfile.tempdir = _root

# Who is started in the background of a shell, as in many pipelines, ignores Ctrl-C, and so would its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_MOST_WORKERS = 4  # each has a platform and a cluster of its own


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process per processor for folders; a file or a test alone runs in this one, which starts sooner.

    So does the sweep of ``tests/chaos``, which says how far it is.
    """
    alone = len(config.args) == 1 and Path(config.args[0].split("::")[0]).is_file()
    alone = alone or bool(getattr(config.option, "sweep", ""))
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if alone else min(ours, _MOST_WORKERS)


def pytest_collection_finish() -> None:
    """What is imported by now stays: looking through it for garbage, again and again, took a tenth of the run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
