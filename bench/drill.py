"""A drill of Open Bank Resolution on a bank of a million accounts, end to end, with its parts.

The floor is one bare UPDATE of two columns of as many rows, twice: there and back.
"""

from __future__ import annotations
