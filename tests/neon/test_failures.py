"""The words of failures, and that no credential gets into them."""

# The words stand as they are shown, on one line.

from __future__ import annotations

import httpx
import pytest
from inline_snapshot import snapshot

from neonctl.errors import NeonctlError
from neonctl.neon import failures
from neonctl.neon.failures import Doing, Refusal

CREATING = Doing("branch `dev`", "created")

WORDINGS = {
    (400, "bad thing"): snapshot(
        (
            "ServiceError",
            "NEON_REFUSED",
            'branch `dev` could not be created: Neon refused; Neon said: "bad thing" (request id req-7)',
            "check the values in the YAML against Neon's message",
        )
    ),
    (401, "bearer token is invalid"): snapshot(
        (
            "ServiceError",
            "NEON_UNAUTHORIZED",
            'branch `dev` could not be created: Neon does not accept the API key; Neon said: "bearer token is invalid" (request id req-7)',
            "check NEON_API_KEY (or the secret that neon.api_key_secret names): it may be mistyped or revoked",
        )
    ),
    (403, "not permitted"): snapshot(
        (
            "ServiceError",
            "NEON_FORBIDDEN",
            'branch `dev` could not be created: the API key may not do this; Neon said: "not permitted" (request id req-7)',
            "use a key of the organization that owns the project, with the right to change it",
        )
    ),
    (404, "project not found"): snapshot(
        (
            "ServiceError",
            "NEON_NOT_FOUND",
            'branch `dev` could not be created: Neon does not know it; Neon said: "project not found" (request id req-7)',
            "it may have been deleted meanwhile: run `neonctl plan` to see what is there",
        )
    ),
    (409, 'branch already exists; branch_name:"dev"'): snapshot(
        (
            "ServiceError",
            "NEON_CONFLICT",
            'branch `dev` could not be created: it conflicts with what exists already; Neon said: "branch already exists; branch_name:"dev"" (request id req-7)',
            "run `neonctl plan` to see what is there; something else may be changing the project",
        )
    ),
    (412, "Storing passwords is disabled"): snapshot(
        (
            "ServiceError",
            "NEON_PRECONDITION",
            'branch `dev` could not be created: the project is not set up for it; Neon said: "Storing passwords is disabled" (request id req-7)',
            "passwords can be read only where the project stores them (store_passwords)",
        )
    ),
    (422, "autoscaling_limit_min_cu must be at least 0.25"): snapshot(
        (
            "ServiceError",
            "NEON_INVALID",
            'branch `dev` could not be created: Neon does not accept the values; Neon said: "autoscaling_limit_min_cu must be at least 0.25" (request id req-7)',
            "correct the named value in the YAML and run the same command again",
        )
    ),
    (422, "branches limit exceeded"): snapshot(
        (
            "ServiceError",
            "NEON_PLAN_LIMIT",
            'branch `dev` could not be created: the Neon plan in use does not allow it; Neon said: "branches limit exceeded" (request id req-7)',
            "delete what is no longer needed, or move the organization to a larger Neon plan",
        )
    ),
    (
        423,
        "project already has running conflicting operations, scheduling of new ones is prohibited",
    ): snapshot(
        (
            "TemporaryServiceError",
            "NEON_LOCKED",
            'branch `dev` could not be created: the project is locked by other operations that are still running; Neon said: "project already has running conflicting operations, scheduling of new ones is prohibited" (request id req-7)',
            "run the same command again in a while; finished steps are kept",
        )
    ),
    (429, "rate limit exceeded"): snapshot(
        (
            "TemporaryServiceError",
            "NEON_RATE_LIMITED",
            'branch `dev` could not be created: Neon\'s rate limit is used up; Neon said: "rate limit exceeded" (request id req-7)',
            "run the same command again in a while; finished steps are kept",
        )
    ),
    (500, ""): snapshot(
        (
            "TemporaryServiceError",
            "NEON_FAILED",
            "branch `dev` could not be created: Neon failed to answer properly (request id req-7)",
            "run the same command again in a while; finished steps are kept (see https://neonstatus.com)",
        )
    ),
    (524, ""): snapshot(
        (
            "TemporaryServiceError",
            "NEON_FAILED",
            "branch `dev` could not be created: Neon failed to answer properly (request id req-7)",
            "run the same command again in a while; finished steps are kept (see https://neonstatus.com)",
        )
    ),
}


@pytest.mark.parametrize("case", WORDINGS, ids=lambda case: f"{case[0]} {case[1]}")
def test_each_refusal_says_what_why_and_what_to_do(case):
    status, message = case
    error = failures.refused(CREATING, Refusal(status, message, request_id="req-7"))
    said = (type(error).__name__, error.code, error.message, error.hint)
    assert said == WORDINGS[case]


def test_the_request_id_and_neons_words_are_in_the_details():
    error = failures.refused(CREATING, Refusal(409, "exists", "BRANCH_ALREADY_EXISTS", "req-7", 3.0))
    assert error.exit_code == 5
    assert error.details == snapshot(
        {"status": 409, "neon_message": "exists", "neon_code": "BRANCH_ALREADY_EXISTS", "request_id": "req-7"}
    )
    assert error.message == snapshot(
        'branch `dev` could not be created: it conflicts with what exists already (it asks to wait 3 s); Neon said: "exists" (request id req-7)'
    )


def test_silence_has_its_own_words():
    error = failures.unreachable(CREATING, "https://neon.test/api/v2", "[Errno 111] Connection refused")
    assert (error.code, error.message, error.hint) == snapshot(
        (
            "NEON_UNREACHABLE",
            "branch `dev` could not be created: no answer from https://neon.test/api/v2: [Errno 111] Connection refused",
            "check the network, a proxy and NEON_API_HOST; `--local` works without Neon",
        )
    )


@pytest.mark.parametrize(
    "leak",
    [
        "postgresql://u:npg_hush@h/db",
        "postgres://:s3cret@h",
        "password npg_hush1 refused",
        "Authorization: Bearer napi_hush",
        "Bearer hush",
    ],
)
def test_what_looks_like_a_credential_is_not_quoted(leak):
    error = failures.refused(CREATING, Refusal(422, f"cannot use {leak}", leak, leak))
    told = f"{error.message} {error.details}"
    assert "hush" not in told
    assert "s3cret" not in told


def test_a_quote_is_one_line_of_bounded_length():
    error = failures.refused(CREATING, Refusal(422, "a\n::error::b\u2028" + "x" * 5000))
    assert "\n" not in error.message
    assert "\u2028" not in error.message
    assert len(error.message) < 500


def test_an_answer_in_html_is_not_quoted(client, neon, fault):
    neon.faults = [lambda request, work: httpx.Response(403, text="<html>go away</html>")]
    with pytest.raises(NeonctlError) as caught:
        client.create_role("p-1", "br-1", "two")
    assert caught.value.message == snapshot("role `two` could not be created: the API key may not do this")
