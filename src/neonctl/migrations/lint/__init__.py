"""What can be said about migrations by reading them: rules, findings, and who finds what."""

from __future__ import annotations
