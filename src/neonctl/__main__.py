"""``python -m neonctl``."""

from __future__ import annotations

import sys

from neonctl.cli.main import main

sys.exit(main())
