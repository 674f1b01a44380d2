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

from . import embedded as embedded_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from neonctl.vault.secrets import SecretStore

MOTO_ACCOUNT = "123456789012"
EMBEDDED_ACCOUNT = "333333333333"
EMBEDDED_ROLE = f"arn:aws:iam::{EMBEDDED_ACCOUNT}:role/neonctl"
REGION = "ap-southeast-2"
ADDRESSES = Addresses(
    direct=Address("ep-a.ap-southeast-2.aws.neon.tech"),
    pooled=Address("ep-a-pooler.ap-southeast-2.aws.neon.tech"),
)


@dataclass(frozen=True)
class Endpoint:
    """Where AWS is. ``documented``: it keeps the rules that moto is known to break."""

    settings: Settings
    access: AwsAccess
    documented: bool


@pytest.fixture(autouse=True)
def scrubbed_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have an AWS account: it must neither be used nor change the outcome."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def moto() -> Iterator[Endpoint]:
    """Ends with its module: moto changes boto3 for the whole process, and keeps its state while it is on."""
    with mock_aws():  # brings keys of its own
        settings = Settings()
        access = AwsAccess(settings, account_id=MOTO_ACCOUNT, region=REGION)
        access.secrets()
        access.parameters()
        yield Endpoint(settings, access, documented=False)


def embedded_settings(address: str) -> Settings:
    """As ``Settings.with_local_platform`` leaves them, without the certificates of a database."""
    return Settings(local=True, aws_endpoint_url=address)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with embedded_aws.serving(tmp_path_factory.mktemp("aws")) as address:
        settings = embedded_settings(address)
        access = AwsAccess(settings, account_id=EMBEDDED_ACCOUNT, region=REGION, role_arn=EMBEDDED_ROLE)
        yield Endpoint(settings, access, documented=True)


@pytest.fixture(params=["moto", "embedded"])
def aws_endpoint(request: pytest.FixtureRequest) -> Endpoint:
    return request.getfixturevalue(request.param)


@pytest.fixture
def store(aws_endpoint: Endpoint) -> SecretStore:
    return aws_endpoint.access.secrets()


@pytest.fixture
def client(store: SecretStore) -> Any:
    """The store's own boto3 client, to look from outside and to cut."""
    return store._client


@pytest.fixture
def kms_key(aws_endpoint: Endpoint) -> Callable[[], str]:
    """Makes keys: an endpoint that keeps the rules encrypts with existing ones only."""
    kms = aws_endpoint.access._client("kms")
    return lambda: kms.create_key(Description="test")["KeyMetadata"]["Arn"]


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
