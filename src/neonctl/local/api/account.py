"""Who calls, which organisation and regions there are. The platform knows one user in one organisation."""

from __future__ import annotations

from typing import Final

from neonctl.local.api.context import Api, Call, Reply
from neonctl.local.api.documents import EMAIL, ORG_ID, USER_ID, Document
from neonctl.local.api.failures import not_found

_SINCE: Final = "2026-01-01T00:00:00Z"
REGIONS: Final = {
    "aws-us-east-1": ("AWS US East 1 (N. Virginia)", "39.04", "-77.49"),
    "aws-us-east-2": ("AWS US East 2 (Ohio)", "39.96", "-83.00"),
    "aws-us-west-2": ("AWS US West 2 (Oregon)", "45.92", "-119.27"),
    "aws-eu-central-1": ("AWS Europe Central 1 (Frankfurt)", "50.11", "8.68"),
    "aws-ap-southeast-1": ("AWS Asia Pacific 1 (Singapore)", "1.35", "103.82"),
    "aws-ap-southeast-2": ("AWS Asia Pacific 2 (Sydney)", "-33.87", "151.21"),
    "azure-eastus2": ("Azure East US 2 (Virginia)", "36.67", "-78.39"),
}
DEFAULT_REGION: Final = "aws-us-east-2"


def _organization() -> Document:
    return {
        "id": ORG_ID,
        "name": "Local bank",
        "handle": "local-bank",
        "plan": "scale_v3",
        "created_at": _SINCE,
        "managed_by": "console",
        "updated_at": _SINCE,
    }


async def show_auth(api: Api, call: Call) -> Reply:
    return Reply({"account_id": USER_ID, "auth_method": "api_key_user", "auth_data": "1"})


async def show_user(api: Api, call: Call) -> Reply:
    account = {"email": EMAIL, "image": "", "login": "local", "name": "Local", "provider": "keycloak"}
    return Reply(
        {
            "active_seconds_limit": 0,
            "auth_accounts": [account],
            "email": EMAIL,
            "id": USER_ID,
            "image": "",
            "login": "local",
            "name": "Local",
            "last_name": "User",
            "projects_limit": 1000,
            "branches_limit": -1,
            "max_autoscaling_limit": 16,
            "plan": "scale_v3",
        }
    )


async def list_organizations(api: Api, call: Call) -> Reply:
    return Reply({"organizations": [_organization()]})


async def show_organization(api: Api, call: Call) -> Reply:
    if call.path["org_id"] != ORG_ID:
        raise not_found("organization")
    return Reply(_organization())


async def list_regions(api: Api, call: Call) -> Reply:
    regions: list[Document] = [
        {
            "region_id": region_id,
            "name": name,
            "default": region_id == DEFAULT_REGION,
            "geo_lat": latitude,
            "geo_long": longitude,
        }
        for region_id, (name, latitude, longitude) in REGIONS.items()
    ]
    return Reply({"regions": regions})


async def list_api_keys(api: Api, call: Call) -> Reply:
    creator = {"id": USER_ID, "name": "Local", "image": ""}
    key: Document = {
        "id": 1,
        "name": "local",
        "created_at": _SINCE,
        "created_by": creator,
        "last_used_at": None,
        "last_used_from_addr": "127.0.0.1",
    }
    return Reply([key])
