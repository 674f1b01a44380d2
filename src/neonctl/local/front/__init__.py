"""What a client of a compute meets: its ports, TLS, the pooler, and the rule about passwords."""

from __future__ import annotations
