"""Passwords and secrets brought together so that no crash leaves them apart (product.md 4, security.md 3).

For each role: find or stage the version to go to, set that password in Postgres with a mark that names the version,
log in with it over its own path, then make it current. Whatever step is the last one done, the next run sees it in
the mark and the labels, and goes on from there.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from neonctl.desired.model import AwsSpec, role_name
from neonctl.errors import ServiceError
from neonctl.plan.changes import StoreSecret
from neonctl.plan.credentials import CONNECTION_TAG, MANAGED_TAG, connection_tag
from neonctl.plan.observed import Addresses, CredentialMark
from neonctl.postgres.batch import fetch
from neonctl.postgres.roles import mark_passwords, set_password
from neonctl.provision.parallel import for_each
from neonctl.vault.password import generate_password
from neonctl.vault.payload import Credential, make_credential

if TYPE_CHECKING:
    from neonctl.provision.services import OwnerAccess, Services
    from neonctl.secret import Secret
    from neonctl.vault.secrets import SecretStore

_WHO = sql.SQL("SELECT current_user, current_database()")


@dataclass(frozen=True)
class Target:
    """The secret version that password and secret will both be at. ``tagged``: made just now, with its tags."""

    change: StoreSecret
    aws: AwsSpec
    addresses: Addresses
    version_id: str
    credential: Credential
    current: bool
    tagged: bool = False


def prepare_credentials(
    changes: Sequence[StoreSecret], aws: AwsSpec, services: Services, *, addresses: Addresses
) -> list[Target]:
    """Find or stage the versions that one database's credentials go to. Touches AWS only."""
    if not changes:
        return []
    secrets = services.aws(aws).secrets()
    return for_each(lambda change: _prepare(change, aws, secrets, addresses, services), changes)


def store_credentials(targets: Sequence[Target], services: Services, *, branch_id: str, access: OwnerAccess) -> None:
    """Bring the credentials of one database to a password of this branch, stored, tested and current."""
    if not targets:
        return
    with services.connect_as_owner(access, targets[0].change.database) as connection:
        for target in targets:
            # Without a mark until it is proven: a run that ends before that leaves something to see.
            set_password(connection, target.credential.username, target.credential.password, None)
        for_each(lambda target: _finish(target, services), targets)
        mark_passwords(
            connection,
            {target.credential.username: CredentialMark(branch_id, target.version_id) for target in targets},
        )


def _prepare(
    change: StoreSecret, aws: AwsSpec, secrets: SecretStore, addresses: Addresses, services: Services
) -> Target:
    """The version to go to: an unfinished one, the current one, or one that is staged now."""
    # One that was not there a moment ago need not be looked for: making it says so if it is now.
    found = None if change.work == "create" else secrets.describe([change.secret]).get(change.secret)
    if found is None or found.deleted or found.current_version is None:
        token = str(uuid.uuid4())
        credential = _credential(change, addresses, generate_password(), services)
        tags = {**aws.tags, MANAGED_TAG: "neonctl", CONNECTION_TAG: connection_tag(addresses)}
        version = secrets.create(change.secret, credential, token=token, kms_key_id=aws.kms_key_id, tags=tags)
        return Target(change, aws, addresses, version, credential, current=True, tagged=True)
    if found.pending_version is not None:
        version, credential = _read(secrets, change.secret, found.pending_version)
        if credential and credential == _credential(change, addresses, credential.password, services):
            return Target(change, aws, addresses, version, credential, current=False)
    elif change.work != "replace":
        version, credential = _read(secrets, change.secret)
        if credential:
            wanted = _credential(change, addresses, credential.password, services)
            if credential == wanted:
                return Target(change, aws, addresses, version, credential, current=True)
            return _stage(change, aws, addresses, secrets, wanted)
    return _stage(change, aws, addresses, secrets, _credential(change, addresses, generate_password(), services))


def _read(secrets: SecretStore, name: str, version_id: str | None = None) -> tuple[str, Credential | None]:
    """A version and its credential; None where somebody stored something else, for which a new one takes its place."""
    try:
        return secrets.read(name, version_id=version_id)
    except ServiceError as error:
        if error.code != "SECRET_MALFORMED":
            raise
        return "", None


def _stage(
    change: StoreSecret, aws: AwsSpec, addresses: Addresses, secrets: SecretStore, credential: Credential
) -> Target:
    version = secrets.stage(change.secret, credential, token=str(uuid.uuid4()))
    return Target(change, aws, addresses, version, credential, current=False)


def _credential(change: StoreSecret, addresses: Addresses, password: Secret, services: Services) -> Credential:
    return make_credential(
        addresses,
        pooled=change.role_kind == "app_user",
        username=role_name(change.database, change.role_kind),
        password=password,
        dbname=change.database,
        ca_file=services.settings.ca_file,
    )


def _finish(target: Target, services: Services) -> None:
    secrets, addresses = services.aws(target.aws).secrets(), target.addresses
    log_in(target.credential, addresses, services, pooled=target.change.role_kind == "app_user")
    if not target.current:
        secrets.promote(target.change.secret, target.version_id)
    if not target.tagged:
        secrets.set_tags(target.change.secret, {MANAGED_TAG: "neonctl", CONNECTION_TAG: connection_tag(addresses)})


def log_in(credential: Credential, addresses: Addresses, services: Services, *, pooled: bool) -> None:
    """Log in with a credential over its own path and ask who that is.

    Raises ``ServiceError`` when it cannot, or when the server says another name.
    """
    address = addresses.pooled if pooled else addresses.direct
    with services.login(
        address, credential.dbname, credential.username, credential.password, pooled=pooled, fresh=True
    ) as connection:
        rows = fetch(connection, _WHO, doing=f"logging in as {credential.username}")
    if rows != [(credential.username, credential.dbname)]:
        raise ServiceError(
            "CREDENTIAL_WRONG",
            f"the credential of {credential.username} logs in as {rows[0]}",
            hint="run apply again; if it stays, look at the secret's content",
        )
