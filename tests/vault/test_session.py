from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from neonctl.errors import NeonctlError, UnsafePlanError
from neonctl.settings import Settings
from neonctl.vault.credentials import Sessions
from neonctl.vault.failures import AwsError
from neonctl.vault.session import AwsAccess

from . import embedded as embedded_aws
from .conftest import MOTO_ACCOUNT, REGION, Endpoint, embedded_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_ACCOUNT = "210987654321"
ROLE = f"arn:aws:iam::{OTHER_ACCOUNT}:role/neonctl"


class Calls:
    """What the embedded platform was asked, in order."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, request: Any, service: str, operation: str) -> None:
        self.seen.append(operation)


@pytest.fixture
def cloud() -> Iterator[None]:
    """A cloud whose first credentials belong to MOTO_ACCOUNT."""
    with mock_aws():
        yield


def access(account_id: str = MOTO_ACCOUNT, **more: Any) -> AwsAccess:
    return AwsAccess(Settings(), account_id=account_id, region=REGION, **more)


def test_the_caller_is_who_aws_says(cloud: None) -> None:
    caller = access().caller()
    assert caller.account_id == MOTO_ACCOUNT
    assert caller.arn.startswith(f"arn:aws:sts::{MOTO_ACCOUNT}:")


@pytest.mark.parametrize("way", ["caller", "secrets", "parameters"])
def test_another_account_is_refused_on_every_way_in(cloud: None, way: str) -> None:
    with pytest.raises(UnsafePlanError) as caught:
        getattr(access(OTHER_ACCOUNT), way)()
    assert caught.value.code == "AWS_WRONG_ACCOUNT"
    assert MOTO_ACCOUNT in caught.value.message
    assert OTHER_ACCOUNT in caught.value.message


def test_the_role_of_the_yaml_is_assumed_once(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    there = access(OTHER_ACCOUNT, role_arn=ROLE)
    asked: list[str] = []
    assumed = there._sessions.assumed
    monkeypatch.setattr(
        there._sessions, "assumed", lambda first, arn, region: (asked.append(arn), assumed(first, arn, region))[1]
    )
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: there.secrets(), range(16)))
    there.parameters().put("/bank/x", "there")
    assert asked == [ROLE]
    assert len(set(map(id, stores))) == 1
    assert there.caller().account_id == OTHER_ACCOUNT
    assert access().parameters().read(["/bank/x"]) == {}


@pytest.mark.parametrize("where", ["cloud", "embedded"])
def test_a_role_of_the_wrong_account_is_refused(where: str, request: pytest.FixtureRequest) -> None:
    there = request.getfixturevalue(where)
    settings = there.settings if where == "embedded" else Settings()
    with pytest.raises(UnsafePlanError) as caught:
        AwsAccess(settings, account_id=MOTO_ACCOUNT, region=REGION, role_arn=ROLE).secrets()
    assert caught.value.details["found"] == OTHER_ACCOUNT


def test_local_starts_from_the_account_of_the_yaml(embedded: Endpoint) -> None:
    """With one object for all: what it keeps for one account is not for another."""
    sessions = Sessions(embedded.settings)
    for account in (OTHER_ACCOUNT, "000000000000", OTHER_ACCOUNT):
        way = AwsAccess(embedded.settings, account_id=account, region=REGION, sessions=sessions)
        assert way.caller().arn == f"arn:aws:iam::{account}:user/local"


@pytest.mark.parametrize("role", [None, f"arn:aws:iam::{MOTO_ACCOUNT}:role/neonctl"])
def test_the_embedded_platform_as_aws_refuses_the_wrong_account(
    embedded: Endpoint, monkeypatch: pytest.MonkeyPatch, role: str | None
) -> None:
    """Without --local, the way everybody points boto3 at a stand-in."""
    for name, value in {"ENDPOINT_URL": str(embedded.settings.aws_endpoint_url), "ACCESS_KEY_ID": "test"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(UnsafePlanError) as caught:
        access(OTHER_ACCOUNT, role_arn=role).secrets()
    assert (caught.value.code, caught.value.exit_code) == ("AWS_WRONG_ACCOUNT", 3)
    found = MOTO_ACCOUNT if role else "000000000000"
    assert (caught.value.details["found"], caught.value.details["expected"]) == (found, OTHER_ACCOUNT)
    assert access(found, role_arn=role).caller().account_id == found


@pytest.mark.parametrize("region", ["ap-southeast-2", "eu-central-1"])
def test_local_serves_every_region_and_key(embedded: Endpoint, region: str, credential: Any, token: Any) -> None:
    """A YAML with a key and no role needs nothing to be made first; what is stored is not drift."""
    key, name = "alias/bank-neon", f"bank-neon/{region}"
    way = AwsAccess(embedded.settings, account_id=OTHER_ACCOUNT, region=region)
    way.secrets().create(name, credential("x"), token=token(), kms_key_id=key, tags={})
    found = way.keys().as_wanted(way.secrets().describe([name]), key)[name]
    assert found.kms_key_id == key
    arn = way._client("kms").describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    assert way.keys().same(arn, key)
    assert (
        way._client("secretsmanager")
        .describe_secret(SecretId=name)["ARN"]
        .startswith(f"arn:aws:secretsmanager:{region}:{OTHER_ACCOUNT}:secret:{name}-")
    )


def test_an_account_costs_one_role_and_one_check(tmp_path: Path) -> None:
    calls = Calls()
    with embedded_aws.serving(tmp_path, calls) as address:
        settings = embedded_settings(address)
        sessions = Sessions(settings)
        roles = {account: f"arn:aws:iam::{account}:role/neonctl" for account in ("111111111111", OTHER_ACCOUNT)}
        ways = [
            AwsAccess(settings, account_id=account, region=REGION, role_arn=role, sessions=sessions)
            for account, role in roles.items()
        ]
        with ThreadPoolExecutor(8) as pool:
            for way in ways:
                list(pool.map(lambda each, way=way: way.parameters().put(f"/bank/{each}", "x"), range(8)))
                assert way.caller().arn.endswith(":assumed-role/neonctl/neonctl")
                way.secrets()
                way.keys()
        assert ways[0].parameters().read(["/bank/1"]) == {"/bank/1": "x"}
    used = [call for call in calls.seen if not call.endswith(("Parameter", "Parameters"))]
    assert sorted(used) == ["AssumeRole"] * 2  # its answer says who we are


def test_a_role_stays_assumed_when_the_work_takes_longer(tmp_path: Path) -> None:
    calls, ahead = Calls(), [-3500.0]  # AWS's clock: what it gives out ends in 100 s of ours
    with embedded_aws.serving(tmp_path, calls, lambda: time.time() + ahead[0]) as address:
        there = AwsAccess(embedded_settings(address), account_id=OTHER_ACCOUNT, region=REGION, role_arn=ROLE)
        parameters = there.parameters()
        parameters.put("/bank/x", "1")
        ahead[0] = 300.0  # now all that was given out has ended
        calls.seen.clear()
        assert parameters.read(["/bank/x"]) == {"/bank/x": "1"}
        assert parameters.read(["/bank/x"]) == {"/bank/x": "1"}
    assert calls.seen == ["AssumeRole", "GetParameters", "GetParameters"]


def test_a_renewal_that_is_refused_is_told_as_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = [-3500.0]
    with embedded_aws.serving(tmp_path, None, lambda: time.time() + ahead[0]) as address:
        there = AwsAccess(embedded_settings(address), account_id=OTHER_ACCOUNT, region=REGION, role_arn=ROLE)
        parameters = there.parameters()
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's pauses between its attempts
    with pytest.raises(AwsError) as caught:
        parameters.put("/bank/x", "canary-value")
    assert caught.value.code == "AWS_UNREACHABLE"
    assert "sts:AssumeRole" in caught.value.message


@pytest.mark.parametrize("environ", [{}, {"AWS_PROFILE": "missing"}, {"AWS_ACCESS_KEY_ID": "alone"}])
def test_without_credentials_both_ways_are_named(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AwsError) as caught:
        access().caller()
    assert caught.value.code == "AWS_NO_CREDENTIALS"
    assert caught.value.exit_code == 5
    assert "--local" in str(caught.value.hint)
    assert "AWS_PROFILE" in str(caught.value.hint)
    assert caught.value.__context__ is None


def test_local_never_falls_through_to_the_real_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "real")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    with pytest.raises(NeonctlError) as caught:
        AwsAccess(Settings(local=True), account_id=MOTO_ACCOUNT, region=REGION).caller()
    assert caught.value.code == "LOCAL_NOT_RUNNING"


def test_local_ignores_the_surroundings(embedded: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profiles, proxies, endpoints and keys that are meant for the real AWS."""
    for name, value in {
        "AWS_PROFILE": "missing",
        "AWS_ACCESS_KEY_ID": "real",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    fresh = AwsAccess(embedded.settings, account_id=OTHER_ACCOUNT, region=REGION, role_arn=ROLE)
    assert fresh.caller().account_id == OTHER_ACCOUNT
    assert fresh.secrets().describe(["missing"]) == {}


def test_a_port_nobody_listens_on_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = embedded_settings("http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's pauses between its attempts
    with pytest.raises(AwsError) as caught:
        AwsAccess(settings, account_id=MOTO_ACCOUNT, region=REGION).caller()
    assert caught.value.code == "AWS_UNREACHABLE"
    assert caught.value.retryable
    assert "http://127.0.0.1:9" in caught.value.message


def test_the_room_can_be_imported_without_boto3() -> None:
    program = (
        "import sys\n"
        "import neonctl.vault.session, neonctl.vault.password\n"
        "from neonctl.settings import Settings\n"
        "neonctl.vault.session.AwsAccess(Settings(), account_id='1', region='r')\n"
        "sys.exit(any(name.startswith(('boto', 'urllib3')) for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_store_serves_many_threads(embedded: Endpoint, name: str) -> None:
    parameters = embedded.access.parameters()
    together = threading.Barrier(8)

    def work(number: int) -> dict[str, str]:
        together.wait(timeout=10)
        parameters.put(f"/{name}/{number}", str(number))
        return dict(parameters.read([f"/{name}/{number}"]))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [{f"/{name}/{number}": str(number)} for number in range(8)]


def test_reveal_stays_where_it_is_reviewed() -> None:
    room = Path(str(sys.modules["neonctl.vault.session"].__file__)).parent
    users = {path.name for path in room.glob("*.py") if ".reveal()" in path.read_text()}
    assert users == {"payload.py", "secrets.py"}
