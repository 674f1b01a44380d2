"""The adapter to the Neon API v2: snapshots out, one narrow method per call, errors in words.

``client.NeonClient`` is what the rest of the program uses.
"""

from __future__ import annotations

import sys

# httpx would import its own command line with it (rich, pygments, click): more than half of its time. It does
# without when that is not there.
sys.modules.setdefault("httpx._main", None)  # pyright: ignore[reportArgumentType]
