"""Benchmarks: what the program takes, as a ratio to a floor measured in the same run. See README.md."""

from __future__ import annotations
