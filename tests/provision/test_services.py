"""Which role is taken in an environment's account."""

from __future__ import annotations

from contextlib import closing

import pytest

from neonctl.desired.load import load
from neonctl.provision.services import Services
from neonctl.settings import Settings


@pytest.mark.parametrize(
    ("only_describes", "edits", "role"),
    [
        (False, (), "neonctl-provisioner"),
        (True, (), "neonctl-planner"),
        (True, (("  plan_role_arn: arn:aws:iam::111111111111:role/neonctl-planner", "  #"),), "neonctl-provisioner"),
    ],
    ids=["to change", "to look", "to look, without a role for that"],
)
def test_what_only_looks_takes_the_role_that_may_only_look(project, only_describes, edits, role):
    project.edit("environments/dev.yaml", *edits)
    desired = load(project.folder / "config")
    platform = project.platform
    settings = Settings().with_local_platform(
        api_url=platform.api_url,
        api_key=platform.api_key,
        org_id=platform.org_id,
        aws_endpoint_url=platform.aws_endpoint_url,
        ca_file=platform.ca_file,
    )
    with closing(Services(settings, desired, purpose="test", only_describes=only_describes)) as services:
        assert f"/{role}/" in services.aws(desired.environments["dev"].aws).caller().arn
