"""Retries: what is repeated, how long, and what is not."""

from __future__ import annotations

import httpx
import pytest

from neonctl.errors import NeonctlError, UsageError
from neonctl.neon.client import NeonClient
from neonctl.secret import Secret


def reading(neon, *answers):
    """Let GETs of a project meet these answers first."""
    queue = list(answers)
    real = neon._one

    def one(name, among, wanted):
        answer = queue.pop(0) if queue else real(name, among, wanted)
        if isinstance(answer, Exception):
            raise answer
        return answer

    neon._one = one


@pytest.mark.parametrize("status", [423, 429, 503])
def test_what_was_certainly_not_done_is_repeated(status, client, neon, fault, waits):
    neon.faults = [fault.refusing(status, "later")] * 3
    client.create_role("p-1", "br-1", "two")
    assert len(neon.sent("POST")) == 4
    assert len(waits) == 1
    assert waits[0].startswith("role `two` could not be created: ")
    assert waits[0].endswith("; trying again")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_reads_are_repeated_after_server_failures(status, client, neon):
    reading(neon, httpx.Response(status), httpx.Response(status))
    assert client.get_project("p-1").id == "p-1"


@pytest.mark.parametrize("broken", [httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ConnectError])
def test_reads_are_repeated_after_network_errors(broken, client, neon):
    reading(neon, broken("gone"))
    assert client.get_project("p-1").id == "p-1"


def test_a_branch_that_is_not_ready_is_waited_for(client, neon, fault):
    neon.faults = [fault.refusing(422, "branch not ready yet")]
    client.create_role("p-1", "br-1", "two")
    assert neon.roles == ["bank_owner", "two"]


def test_retry_after_in_seconds_is_honoured(client, neon, fault, time):
    neon.faults = [fault.refusing(429, "slow down", retry_after="17")]
    client.create_role("p-1", "br-1", "two")
    assert time.slept[0] == 17


def test_retry_after_as_a_date_is_measured_by_neons_clock(client, neon, fault, time):
    when = {"retry_after": "Fri, 20 Nov 2026 12:00:30 GMT", "date": "Fri, 20 Nov 2026 12:00:00 GMT"}
    neon.faults = [fault.refusing(503, "back soon", **when)]
    client.create_role("p-1", "br-1", "two")
    assert time.slept[0] == 30


@pytest.mark.parametrize("nonsense", ["soon", "-5", "Fri, 99 Nov 2026", "²"])
def test_a_retry_after_that_makes_no_sense_is_ignored(nonsense, client, neon):
    headers = [(b"retry-after", nonsense.encode())]
    reading(neon, httpx.Response(503, headers=headers))
    assert client.get_project("p-1").id == "p-1"


def test_a_wait_beyond_patience_is_not_begun(client, neon, fault, time):
    neon.faults = [fault.refusing(429, "slow down", retry_after="3600")]
    with pytest.raises(NeonctlError) as caught:
        client.create_role("p-1", "br-1", "two")
    assert caught.value.code == "NEON_RATE_LIMITED"
    assert time.slept == []


@pytest.mark.parametrize(("status", "patience"), [(423, 300), (503, 60)])
def test_patience_ends(status, patience, client, neon, fault, time):
    neon.faults = [fault.refusing(status, "later")] * 5000
    with pytest.raises(NeonctlError) as caught:
        client.create_role("p-1", "br-1", "two")
    assert caught.value.retryable
    assert patience - 10 <= time.now <= patience


def test_an_address_that_never_answered_is_given_up_at_once(client, neon, time):
    reading(neon, *[httpx.ConnectError("[Errno 111] Connection refused")] * 5000)
    with pytest.raises(NeonctlError) as caught:
        client.get_project("p-1")
    assert caught.value.code == "NEON_UNREACHABLE"
    assert time.now <= 3


def test_a_host_that_answered_before_gets_more_patience(client, neon, time):
    client.get_project("p-1")
    reading(neon, *[httpx.ConnectError("[Errno 111] Connection refused")] * 5000)
    with pytest.raises(NeonctlError) as caught:
        client.get_project("p-1")
    assert caught.value.code == "NEON_UNREACHABLE"
    assert 10 <= time.now <= 20


def test_a_certificate_nobody_trusts_is_not_asked_again(client, neon, time):
    reading(neon, httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"))
    with pytest.raises(NeonctlError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get_project("p-1")
    assert time.slept == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 422])
def test_a_clear_no_is_not_repeated(status, client, neon, fault):
    neon.faults = [fault.refusing(status, "no")]
    with pytest.raises(NeonctlError):
        client.reset_password("p-1", "br-1", "bank_owner")
    assert len(neon.sent("POST")) == 1


@pytest.mark.parametrize(
    "host",
    [
        "http://console.neon.tech/api/v2",
        "ftp://127.0.0.1/",
        "console.neon.tech",
        "https://",
        "https://user:pass@h/",
        "https://h:99999/",
        "https://[::1/",
        "http://127.0.0.1.evil.example/",
    ],
)
def test_the_key_travels_by_https_or_stays_on_this_machine(host):
    with pytest.raises(UsageError) as caught:
        NeonClient(api_host=host, api_key=Secret("napi_key"))
    assert caught.value.code == "NEON_API_HOST_INVALID"


@pytest.mark.parametrize("key", ["", "napi key", "napi_key\n", "napi_kéy"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key):
    with pytest.raises(UsageError) as caught:
        NeonClient(api_host="http://127.0.0.1:1", api_key=Secret(key))
    assert caught.value.code == "NEON_API_KEY_INVALID"
    assert not key or key not in str(caught.value)
