"""Real PostgreSQL clusters, one per branch: programs, files, processes, copies."""

from __future__ import annotations
