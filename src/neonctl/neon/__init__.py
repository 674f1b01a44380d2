"""The adapter to the Neon API v2: snapshots out, one narrow method per call, errors in words.

``client.NeonClient`` is what the rest of the program uses.
"""

from __future__ import annotations
