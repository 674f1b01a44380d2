"""The AWS side of these tests: moto in this process, and the embedded platform when it is there."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from neonctl.plan.observed import Address, Addresses
from neonctl.secret import Secret
from neonctl.settings import Settings
from neonctl.vault.payload import Credential, make_credential
from neonctl.vault.session import AwsAccess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neonctl.vault.secrets import SecretStore

MOTO_ACCOUNT = "123456789012"
REGION = "ap-southeast-2"
ADDRESSES = Addresses(
    direct=Address("ep-a.ap-southeast-2.aws.neon.tech"),
    pooled=Address("ep-a-pooler.ap-southeast-2.aws.neon.tech"),
)


@dataclass(frozen=True)
class Endpoint:
    """Where AWS is. ``documented``: it keeps the rules that moto is known to break."""

    settings: Settings
    account_id: str
    documented: bool

    def access(self) -> AwsAccess:
        return AwsAccess(self.settings, account_id=self.account_id, region=REGION)


@pytest.fixture(autouse=True)
def scrubbed_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Whoever runs the tests may have an AWS account: it must neither be used nor change the outcome."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch, scrubbed_environment: None) -> Iterator[Endpoint]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield Endpoint(Settings(), MOTO_ACCOUNT, documented=False)


@pytest.fixture(params=["moto"])
def aws_endpoint(request: pytest.FixtureRequest) -> Endpoint:
    return request.getfixturevalue(request.param)


@pytest.fixture
def store(aws_endpoint: Endpoint) -> SecretStore:
    return aws_endpoint.access().secrets()


@pytest.fixture
def client(store: SecretStore) -> Any:
    """The store's own boto3 client, to look from outside and to cut."""
    return store._client


@pytest.fixture
def name() -> str:
    return f"bank-neon/test/bank_core/app_user-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def credential() -> Callable[[str], Credential]:
    def make(password: str) -> Credential:
        return make_credential(
            ADDRESSES,
            pooled=True,
            username="bank_core_app_user",
            password=Secret(password),
            dbname="bank_core",
            ca_file=None,
        )

    return make


@pytest.fixture
def token() -> Callable[[], str]:
    return lambda: str(uuid.uuid4())
