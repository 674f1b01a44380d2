from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

# On a new machine the first drawn text builds hypothesis' Unicode tables: how long things take is for bench/ to say.
settings.register_profile("neonctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("neonctl")

pytest_plugins = ["postgres_server", "platform_fixture", "bank_database"]

# Hundreds of clusters are made and thrown away: in memory where the machine has a file system for that, since
# otherwise the tests mostly wait for the disk. What must survive a power cut is not decided by where it lies.
_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 6 * 2**30

if (
    "PYTEST_DEBUG_TEMPROOT" not in os.environ
    and _MEMORY.is_dir()
    and os.access(_MEMORY, os.W_OK)
    and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES
):
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)
    tempfile.tempdir = str(_MEMORY)
