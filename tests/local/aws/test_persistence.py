"""What is on disk: it survives kill -9, shows no value, and does not open without its key."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError

from neonctl.errors import NeonctlError
from neonctl.local.aws.store import AwsStore

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parent / "serve.py"
CANARY = "canary-correct-horse-battery"


@contextmanager
def serving(directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(directory / "aws.db"), str(directory / "aws.key")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Apart from where the ``store`` fixture lives."""
    path = tmp_path / "killed"
    path.mkdir()
    return path


def test_everything_survives_kill_9(directory: Path, endpoint_at: Any) -> None:
    with serving(directory) as (process, url):
        endpoint = endpoint_at(url)
        secrets, ssm, kms = (endpoint.client(name) for name in ("secretsmanager", "ssm", "kms"))
        made = secrets.create_secret(Name="s", SecretString="old")
        pending = secrets.put_secret_value(SecretId="s", SecretString="new", VersionStages=["AWSPENDING"])
        ssm.put_parameter(Name="/p", Value="1", Type="String")
        ssm.put_parameter(Name="/p", Value="2", Overwrite=True)
        endpoint.client("events").create_event_bus(Name="bank")
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
        signature = kms.sign(KeyId=key, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")["Signature"]
        process.kill()
        process.wait()
    with serving(directory) as (_, url):
        endpoint = endpoint_at(url)
        secrets, ssm, kms = (endpoint.client(name) for name in ("secretsmanager", "ssm", "kms"))
        shown = secrets.describe_secret(SecretId="s")
        assert shown["ARN"] == made["ARN"]
        assert shown["VersionIdsToStages"] == {
            made["VersionId"]: ["AWSCURRENT"],
            pending["VersionId"]: ["AWSPENDING"],
        }
        assert secrets.get_secret_value(SecretId="s", VersionStage="AWSPENDING")["SecretString"] == "new"
        assert ssm.get_parameter(Name="/p")["Parameter"]["Version"] == 2
        assert endpoint.client("events").describe_event_bus(Name="bank")["Name"] == "bank"
        assert kms.verify(KeyId=key, Message=b"m", Signature=signature, SigningAlgorithm="ECDSA_SHA_256")


def test_killed_amid_writes_every_answered_one_is_there_and_none_is_half(directory: Path, endpoint_at: Any) -> None:
    answered: list[str] = []
    enough = threading.Event()

    def write(client: Any) -> None:
        for n in range(10_000):
            try:
                put = client.put_secret_value(SecretId="s", SecretString=f"value {n}")
            except BotoCoreError:
                break
            answered.append(put["VersionId"])
            if n == 20:
                enough.set()
        enough.set()

    with serving(directory) as (process, url):
        client = endpoint_at(url).client("secretsmanager")
        client.create_secret(Name="s", SecretString="first")
        writer = threading.Thread(target=write, args=(client,))
        writer.start()
        assert enough.wait(30)
        process.kill()
        writer.join(30)
        assert not writer.is_alive()
    with serving(directory) as (_, url):
        client = endpoint_at(url).client("secretsmanager")
        shown = client.describe_secret(SecretId="s")["VersionIdsToStages"]
        labels = {stage: version for version, stages in shown.items() for stage in stages}
        assert sorted(labels) == ["AWSCURRENT", "AWSPREVIOUS"]
        # The last answered write is current, or previous when one more was done whose answer was lost.
        assert answered[-1] in {labels["AWSCURRENT"], labels["AWSPREVIOUS"]}
        assert client.get_secret_value(SecretId="s")["SecretString"].startswith("value ")


def test_no_value_is_on_disk_in_plain_and_files_are_private(
    local: Any, store: AwsStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = local.client("secretsmanager")
    secrets.create_secret(Name="s", SecretString=f'{{"password": "{CANARY}"}}')
    secrets.create_secret(Name="b", SecretBinary=CANARY.encode())
    local.client("ssm").put_parameter(Name="/p", Value=CANARY, Type="SecureString")
    assert CANARY in secrets.get_secret_value(SecretId="s")["SecretString"]
    files = list(tmp_path.glob("aws.*"))
    assert {path.name for path in files} >= {"aws.db", "aws.db-wal", "aws.key"}
    for path in files:
        assert CANARY.encode() not in path.read_bytes(), path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert CANARY not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("neonctl"))


def test_another_or_a_missing_key_is_told_at_the_start(tmp_path: Path) -> None:
    path, key_file = tmp_path / "x.db", tmp_path / "x.key"
    for _ in range(2):
        AwsStore(path, key_file).close()
    key_file.write_bytes(b"k" * 32)
    with pytest.raises(NeonctlError) as caught:
        AwsStore(path, key_file)
    assert caught.value.code == "LOCAL_AWS_SEAL_BROKEN"
    key_file.write_bytes(b"short")
    with pytest.raises(NeonctlError) as caught:
        AwsStore(path, key_file)
    assert caught.value.code == "LOCAL_AWS_KEY_INVALID"
    key_file.unlink()
    with pytest.raises(NeonctlError) as caught:
        AwsStore(path, key_file)
    assert caught.value.code == "LOCAL_AWS_KEY_MISSING"
    assert not key_file.exists()


def test_a_failed_operation_leaves_nothing_behind(store: AwsStore) -> None:
    def half(transaction: Any) -> None:
        transaction.db.execute("INSERT INTO meta VALUES ('half', x'00')")
        raise LookupError

    with pytest.raises(LookupError):
        store.run_sync(half)
    count = store.run_sync(lambda inside: inside.db.execute("SELECT count(*) FROM meta").fetchone()[0])
    assert count == 1
