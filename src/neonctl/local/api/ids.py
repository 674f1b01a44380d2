"""Identifiers in Neon's shape: two words and a number, with the prefix of the kind."""

from __future__ import annotations

import secrets
import string

_FIRST = (
    "autumn bitter bold broad calm cold cool crimson curly damp dark dawn delicate dry falling floral "
    "flat fragrant frosty gentle green hidden holy icy late lingering little lively long misty morning muddy "
    "nameless noisy odd old orange patient plain polished proud purple quiet rapid restless rough round royal "
    "shiny shy silent small snowy soft solitary spring square steep still summer super sweet throbbing tight "
    "tiny twilight wandering weathered white wild winter wispy withered yellow young"
).split()
_SECOND = (
    "art band bar base bird block boat bonus bread breeze brook bush butterfly cake cell cherry cloud "
    "credit darkness dawn dew disk dream dust feather field fire firefly flower fog forest frog frost glade "
    "glitter grass hall hat haze heart hill king lab lake leaf limit math meadow mode moon morning mountain "
    "mouse mud night paper pine poetry pond queen rain recipe resonance rice river salad scene sea shadow "
    "shape silence sky smoke snow snowflake sound star sun sunset surf term thunder tooth tree truth union "
    "unit violet voice water waterfall wave wildflower wind wood"
).split()
_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str = "") -> str:
    """``wispy-meadow-83717402`` behind ``prefix`` (``br-``, ``ep-`` or none for a project)."""
    number = secrets.randbelow(90_000_000) + 10_000_000
    return f"{prefix}{secrets.choice(_FIRST)}-{secrets.choice(_SECOND)}-{number}"


def new_password() -> str:
    """``npg_`` and 32 letters and digits (190 bits)."""
    return "npg_" + "".join(secrets.choice(_ALPHABET) for _ in range(32))
