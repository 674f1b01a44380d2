"""Provision, migrate and run the Postgres side of a bank on Neon."""

from __future__ import annotations

__version__ = "0.1.0"
