"""Changes of what is kept in AWS: secrets and parameters."""

from __future__ import annotations

from typing import Literal

from neonctl.desired.model import RoleKind, role_name
from neonctl.frozen import frozen
from neonctl.plan.changes.change import Action, Change, Details, SettingsChange, Stage

CredentialWork = Literal["create", "replace", "repair", "readdress", "restore"]


@frozen(kw_only=True)
class StoreSecret(Change, kind="secret", stage=Stage.CREDENTIAL):
    """Bring a role's password and its secret together.

    ``create``: there is no secret yet; ``replace``: the password came along from another branch; ``repair``: an
    earlier run was cut off; ``readdress``: same password, new host; ``restore``: the secret was scheduled for
    deletion.
    """

    database: str
    role_kind: RoleKind
    secret: str
    work: CredentialWork

    @property
    def action(self) -> Action:
        return "create" if self.work == "create" else "update"

    @property
    def name(self) -> str:
        return f"{self.database}/{role_name(self.database, self.role_kind)}"

    @property
    def after(self) -> Details:
        password = "unchanged" if self.work == "readdress" else "(generated, not shown)"
        return {"secret": self.secret, "password": password, "work": self.work}


@frozen(kw_only=True)
class UpdateSecretMetadata(SettingsChange, kind="secret-metadata", stage=Stage.CREDENTIAL):
    """Bring a secret's tags or key to what the YAML says; no new version."""

    database: str
    role_kind: RoleKind
    secret: str

    @property
    def name(self) -> str:
        return f"{self.database}/{role_name(self.database, self.role_kind)}"


@frozen(kw_only=True)
class DeleteSecret(Change, kind="secret", stage=Stage.CREDENTIAL, label="{self.secret}", verb="delete"):
    """Schedule the secret of a role for deletion whose database or environment is ``state: absent``."""

    secret: str
    parent: str  # the branch or database that it goes with

    @property
    def goes_with(self) -> str:
        return self.parent


@frozen(kw_only=True)
class PutParameter(Change, kind="parameter", stage=Stage.PARAMETER):
    """Write an SSM parameter. ``value`` None: known only after apply."""

    parameter: str
    old: str | None
    value: str | None

    @property
    def action(self) -> Action:
        return "create" if self.old is None else "update"

    @property
    def name(self) -> str:
        return self.parameter.lstrip("/")

    @property
    def before(self) -> Details | None:
        return None if self.old is None else {"value": self.old}

    @property
    def after(self) -> Details:
        return {"value": "(known after apply)" if self.value is None else self.value}


@frozen(kw_only=True)
class DeleteParameter(Change, kind="parameter", stage=Stage.PARAMETER, label="{self.parameter}", verb="delete"):
    """Delete an SSM parameter of a database or environment that is ``state: absent``."""

    parameter: str
    parent: str

    @property
    def goes_with(self) -> str:
        return self.parent
