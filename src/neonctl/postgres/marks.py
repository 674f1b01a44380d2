"""What neonctl writes into COMMENT ON ROLE and COMMENT ON DATABASE, for people and for the next plan.

Plan reads no secret values (product.md 4), so what a role's password belongs to stands in the role's comment. A child
branch inherits the comment with the password: the branch id in it then names the parent, and that is the point.
"""

from __future__ import annotations

import re

from neonctl.plan.observed import CredentialMark

_CREDENTIAL = re.compile(r"^neonctl: password of branch (\S+), secret version (\S+)$", re.MULTILINE)
_BUILT_FOR = re.compile(r"^neonctl: built for branch (\S+)$", re.MULTILINE)


def credential_comment(mark: CredentialMark) -> str:
    """The comment of a role whose password was made for this branch and stored as this secret version."""
    return f"neonctl: password of branch {mark.branch_id}, secret version {mark.version_id}"


def parse_credential(comment: str | None) -> CredentialMark | None:
    """The mark in a role's comment; ``None`` if there is none (other people's lines do not matter)."""
    match = _CREDENTIAL.search(comment or "")
    return CredentialMark(match[1], match[2]) if match else None


def built_for_comment(branch_id: str) -> str:
    """The comment of a database that provisioning made on this branch."""
    return f"neonctl: built for branch {branch_id}"


def parse_built_for(comment: str | None) -> str | None:
    """The branch id in a database's comment; ``None`` if there is none."""
    match = _BUILT_FOR.search(comment or "")
    return match[1] if match else None
