"""The process: found again, started once, killed and taken up again, gone without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from neonctl.errors import ServiceError, UsageError
from neonctl.local.layout import Layout
from neonctl.local.platform import ensure_running, reset, running, stop
from neonctl.local.state import Platform, branches, journal, set_faults

if TYPE_CHECKING:
    from pathlib import Path


def start(data_dir: Path) -> Platform:
    return ensure_running(data_dir, progress=lambda _: None)


def test_it_is_found_again(platform: Platform, data_dir: Path) -> None:
    assert start(data_dir) == platform
    assert running(data_dir) == platform
    for path in (Layout(data_dir).state_file, Layout(data_dir).api_key, Layout(data_dir).api_database):
        assert path.stat().st_mode & 0o077 == 0


def test_branches_are_listed_with_their_ports(neon: Any, bank: Any, platform: Platform) -> None:
    found = {item.branch_id: item for item in branches(platform)}[bank["branch"]["id"]]
    assert (found.project, found.branch, found.state) == ("bank", "prod", "ready")
    assert f"localhost:{found.direct_port}" == bank["endpoints"][0]["host"]
    assert found.pooled_port not in (None, found.direct_port)


def test_aws_answers_beside_it_with_faults_and_journal(platform: Platform, tmp_path: Path) -> None:
    client = boto3.client(
        "secretsmanager",
        endpoint_url=platform.aws_endpoint_url,
        region_name=platform.aws_region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    journal(platform, clear=True)
    set_faults(platform, [{"target": "aws", "operation": "CreateSecret", "status": 503, "count": 1}])
    client.create_secret(Name="s", SecretString="v")
    assert client.get_secret_value(SecretId="s")["SecretString"] == "v"
    calls = [item["call"] for item in journal(platform)]
    assert calls == ["CreateSecret", "CreateSecret", "GetSecretValue"]
    client.close()


def test_two_starters_get_one_platform(tmp_path: Path) -> None:
    try:
        with ThreadPoolExecutor(2) as pool:
            one, two = pool.map(start, [tmp_path, tmp_path])
        assert one == two
        assert stop(tmp_path) is True
        assert running(tmp_path) is None
        assert stop(tmp_path) is False
    finally:
        reset(tmp_path)
    assert not tmp_path.exists()


def kill_while_branching(client: Any, project_id: str, name: str) -> Any:
    """Start making a branch, and kill the daemon as soon as the work has begun."""
    body = {"branch": {"name": name}, "endpoints": [{"type": "read_write"}]}
    answer = client.call("POST", f"/projects/{project_id}/branches", body, expect=201)
    path = f"/projects/{project_id}/operations/{answer['operations'][0]['id']}"
    client.until(lambda: client.get(path)["operation"]["status"], lambda found: found != "scheduling")
    os.kill(client.platform.pid, signal.SIGKILL)
    return answer


def test_a_killed_daemon_takes_its_work_up_again(neon: Any, contract: Any, tmp_path: Path) -> None:
    platform = start(tmp_path)
    try:
        with type(neon)(platform, contract) as client:
            project = client.new_project("survivor")
        project_id, made = project["project"]["id"], []
        slow = {"target": "operation", "action": "create_branch", "latency_ms": 60_000, "count": 1}
        for number, rules in enumerate(([slow], [])):
            set_faults(platform, rules)
            with type(neon)(platform, contract) as client:
                made.append(kill_while_branching(client, project_id, f"half-made-{number}"))
            again = start(tmp_path)
            assert (again.api_url, again.api_key) == (platform.api_url, platform.api_key)
            assert again.pid != platform.pid
            platform = again
            with type(neon)(platform, contract) as client:
                client.wait(made[-1])
        role, database = project["roles"][0]["name"], project["databases"][0]["name"]
        with type(neon)(platform, contract) as client:
            assert project["connection_uris"][0]["connection_uri"] == client.uri(project_id, role, database)
            for answer in made:
                uri = client.uri(project_id, role, database, branch_id=answer["branch"]["id"])
                client.connect(uri).close()
        os.kill(platform.pid, signal.SIGKILL)
        assert stop(tmp_path) is True
        assert processes_under(tmp_path) == []
    finally:
        reset(tmp_path)


def test_a_port_that_another_program_took_is_left_to_it(neon: Any, contract: Any, tmp_path: Path) -> None:
    platform = start(tmp_path)
    try:
        with type(neon)(platform, contract) as client:
            project = client.new_project("neighbours")
        before = branches(platform)[0]
        stop(tmp_path)
        with socket.create_server(("127.0.0.1", before.direct_port)):
            platform = start(tmp_path)
            after = branches(platform)[0]
            assert after.direct_port not in (None, before.direct_port)
            with type(neon)(platform, contract) as client:
                uri = client.uri(project["project"]["id"], project["roles"][0]["name"], project["databases"][0]["name"])
                assert f":{after.direct_port}/" in uri
                client.connect(uri).close()
    finally:
        reset(tmp_path)


def processes_under(folder: Path) -> list[str]:
    """Command lines of living processes that name the folder."""
    listing = subprocess.run(["ps", "-eo", "stat=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(folder) in line and not line.startswith("Z")]


def test_a_failed_start_shows_the_log(tmp_path: Path) -> None:
    Layout(tmp_path).engine.write_text("not a folder")
    with pytest.raises(ServiceError, match=r"did not start: .*engine") as caught:
        start(tmp_path)
    assert caught.value.code == "LOCAL_START_FAILED"
    assert caught.value.details["log"]


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError) as caught:
            ensure_running(folder, progress=lambda _: None)
        assert caught.value.code == "LOCAL_FOLDER"


def test_the_log_holds_no_secret(neon: Any, bank: Any, data_dir: Path) -> None:
    neon.uri(bank["project"]["id"], "bank_owner", "bank_core")
    text = Layout(data_dir).log.read_text()
    assert "connection_uri" in text
    for secret in (bank["roles"][0]["password"], neon.platform.api_key.reveal()):
        assert secret not in text


def test_the_launcher_is_light() -> None:
    code = "import sys, neonctl.local.platform, neonctl.local.state; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"aiohttp", "psycopg", "cryptography", "asyncio"} & set(loaded)
