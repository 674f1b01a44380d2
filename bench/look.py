"""The critical path of looking at everything: the longest chain of calls of which each needs the one before it.

Neon's side: projects → branches → the owner's way in → a connection to one database → what is in it. AWS's side:
the role assumed → who we are → one secret. Everything else that ``observe`` asks can be asked beside these (all
environments, all databases, all secrets), so a perfect program on a perfect machine takes the longer of the two.

The calls are replayed one after another with bare clients: ``http.client`` over one connection, psycopg, boto's
clients with their service models read already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.measure import timed
from bench.raw_api import RawApi
from neonctl.desired.model import first_database, secret_name
from neonctl.postgres.inspect import read_database
from neonctl.provision.observe import owner_access
from neonctl.vault.session import AwsAccess

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.local.state import Platform
    from neonctl.provision.services import Services


# What no version of the command could do without (httpx: without its command line, which it can be spared).
IMPORT_LIBRARIES = (
    "import sys; sys.modules['httpx._main'] = None\n"
    "import typer, pydantic, yaml, psycopg, botocore.session, botocore.client, httpx"
)


def look(platform: Platform, desired: Desired, services: Services, environment: str = "prod") -> float:
    """Seconds of the longer chain, both measured alone."""
    return max(timed(lambda: _neon(platform, desired, services, environment)), timed(lambda: _aws(desired, services)))


def look_at_nothing(platform: Platform, desired: Desired, services: Services) -> float:
    """The same before there is a project: one call on Neon's side."""
    api = RawApi(platform)
    name = desired.platform.project.name
    neon = timed(lambda: api.call("GET", "/projects", org_id=api.org_id, search=name))
    api.close()
    return max(neon, timed(lambda: _aws(desired, services)))


def _neon(platform: Platform, desired: Desired, services: Services, environment: str) -> None:
    api = RawApi(platform)
    name = desired.platform.project.name
    project = api.call("GET", "/projects", org_id=api.org_id, search=name)["projects"][0]["id"]
    branches = api.call("GET", f"/projects/{project}/branches")["branches"]
    wanted = desired.environments[environment].branch.name
    branch = next(each["id"] for each in branches if each["name"] == wanted)
    api.close()
    access = owner_access(desired, services, project, branch)
    assert access is not None
    with services.connect_as_owner(access, first_database(desired)) as connection:
        read_database(connection)


def _aws(desired: Desired, services: Services) -> None:
    spec = next(iter(desired.environments.values()))
    access = AwsAccess(
        services.settings,
        account_id=spec.aws.account_id,
        region=spec.aws.region,
        role_arn=spec.aws.role_arn,
        sessions=services._aws_sessions,  # pyright: ignore[reportPrivateUsage]  # its service models are read
    )
    access.secrets().describe([secret_name(spec.stage, first_database(desired), "readonly")])


def warm(desired: Desired, services: Services) -> None:
    """Open what a replay must not be charged for: clients, threads, service models."""
    spec = next(iter(desired.environments.values()))
    services.aws(spec.aws).secrets()
    services.neon.whoami()
