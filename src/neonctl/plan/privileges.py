"""``db/<database>/privileges.txt``: the rights on objects that migrations made, as sorted, readable lines.

One line holds the privileges of one grantee on one object:

    table accounts.accounts bank_core_readonly SELECT
    table core.audit bank_core_app_user INSERT SELECT*
    column accounts.accounts.balance bank_core_app_user SELECT
    function core.post(uuid, numeric) PUBLIC EXECUTE

``*`` marks a privilege that may be granted on. Databases, schemas and default privileges are not in the file: those
belong to provisioning (product.md 4).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from neonctl.plan.observed import Grant

KINDS = frozenset({"table", "column", "sequence", "function"})

_NAME = r'(?:[^\s"]|"(?:[^"]|"")*")+'  # a space only inside quotes
_LINE = re.compile(
    rf"(?P<kind>table|column|sequence) (?P<object>{_NAME}) (?P<grantee>{_NAME}) (?P<privileges>[A-Z* ]+)\Z"
    rf"|(?P<function>function) (?P<signature>.+\)) (?P<caller>{_NAME}) (?P<rights>[A-Z* ]+)\Z"
)
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]*\Z")


def render(grants: Iterable[Grant]) -> tuple[str, ...]:
    """Sorted lines for the grants of KINDS; the others are left out."""
    privileges: dict[tuple[str, str, str], dict[str, bool]] = defaultdict(dict)
    for grant in grants:
        if grant.kind in KINDS:
            held = privileges[grant.kind, grant.object, grant.grantee]
            held[grant.privilege] = held.get(grant.privilege, False) or grant.grantable
    lines = (
        f"{kind} {name} {_quoted(grantee)} {' '.join(right + '*' * held[right] for right in sorted(held))}"
        for (kind, name, grantee), held in privileges.items()
    )
    return tuple(sorted(lines))


def parse(lines: Iterable[str]) -> frozenset[Grant]:
    """The grants of such lines; blank lines and ``#`` comments are skipped.

    Raises ``ValueError`` with the number (from 1) and text of the first line that is none.
    """
    grants: set[Grant] = set()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            grants |= _grants(number, text)
    return frozenset(grants)


def _grants(number: int, text: str) -> set[Grant]:
    match = _LINE.match(text)
    if not match:
        raise ValueError(f"line {number}: not a privilege: {text}")
    kind, name, grantee, words = (
        match["kind"] or match["function"],
        match["object"] or match["signature"],
        match["grantee"] or match["caller"],
        match["privileges"] or match["rights"],
    )
    return {
        Grant(kind, name, _unquoted(grantee), word.rstrip("*"), grantable=word.endswith("*")) for word in words.split()
    }


def _quoted(name: str) -> str:
    return name if _BARE.match(name) else '"' + name.replace('"', '""') + '"'


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
