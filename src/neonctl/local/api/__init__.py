"""Neon's HTTP API v2 over the embedded clusters.

``app`` turns HTTP into calls and ``routes`` lists what is served. ``projects``, ``branches``, ``endpoints``,
``roles``, ``databases``, ``operations`` and ``account`` decide, ``store`` remembers, ``worker`` and
``actions`` do the work behind an operation.
"""

from __future__ import annotations
