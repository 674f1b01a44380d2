"""Neon's HTTP API v2 over the embedded clusters.

``app`` turns HTTP into calls and ``routes`` lists what is served. ``projects``, ``branches``, ``endpoints``,
``roles``, ``databases``, ``operations`` and ``account`` decide, ``store`` remembers, ``worker`` and
``actions`` do the work behind an operation.

Where it differs from Neon, on purpose:

- An endpoint's ``host`` is ``localhost:PORT``, and the pooled path has a port of its own instead of ``-pooler``;
  URIs are ``verify-full`` with the platform's own authority and without ``channel_binding``.
- One Postgres version (18), also when none is asked for; no history: ``parent_lsn``, ``parent_timestamp`` and
  their like are refused; no archiving, snapshots, schema comparison or recovery of what was deleted.
- ``pg_settings``, quotas, allowed addresses and maintenance windows are stored and shown, not enforced.
- A failed operation takes back what its request had promised, so that the API never shows what isn't there.
- A schema-only copy of a protected branch gets fresh passwords, as a child would.
"""

from __future__ import annotations
