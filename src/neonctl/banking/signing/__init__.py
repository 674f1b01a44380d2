"""Signed documents of Open Bank Resolution (MOD-143 11.1 and 11.3): keys, JWS, instructions, attested documents.

Pure: no database, no network, no clock, no randomness but that of making keys and signatures.
"""

from __future__ import annotations
