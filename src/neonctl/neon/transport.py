"""One HTTP exchange with Neon: the key in the header, retries that are safe, failures in words.

423, 429 and 503 mean that nothing was done, so any call is repeated (facts.md 6). GETs are also repeated
after network errors and 5xx. A changing call whose answer got lost raises ``LostAnswerError`` instead: only
its caller can look whether the work was done.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httpx

from neonctl.errors import NeonctlError, UsageError
from neonctl.frozen import frozen
from neonctl.neon import answers, failures
from neonctl.secret import MASK, Secret

if TYPE_CHECKING:
    import tenacity

    from neonctl.neon.failures import Doing, Refusal

Body = Mapping[str, Any]
Parameters = Mapping[str, str | int | bool]

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_SENSITIVE = frozenset({"password", "uri", "connection_uri", "key"})  # `x-sensitive` in Neon's document
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
# Raised before the request left this machine: repeating it cannot do the work twice.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@frozen
class Patience:
    """How long one call may go on trying, in seconds, by what stands in its way."""

    busy: float = 300.0  # 423, 429, a branch that is not ready yet
    failing: float = 60.0  # 5xx
    silent: float = 20.0  # no answer at all, from an API that has answered before
    first: float = 3.0  # no answer at all, ever: a wrong address or no network, which waiting does not cure
    operations: float = 600.0  # accepted work to finish


class LostAnswerError(Exception):
    """A changing call was sent and its answer is missing: it may have been done. ``failure`` says so."""

    def __init__(self, failure: NeonctlError) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _AgainError(Exception):
    """The call may be repeated until ``budget`` seconds have passed, not before ``pause``."""

    def __init__(self, failure: NeonctlError, budget: float, pause: float = 0.0) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.budget = budget
        self.pause = pause


class Transport:
    """Speaks HTTP with one Neon API for one key; may be used from many threads at once."""

    def __init__(
        self,
        *,
        api_host: str,
        api_key: Secret,
        on_wait: Callable[[str], None] | None = None,
        http: httpx.Client | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.host = _checked_host(api_host)
        self._key = _checked_key(api_key)
        self._http = http or _http_client(self.host)
        self._on_wait = on_wait
        self._heard = False
        self._now = now
        self.patience = patience or Patience()
        self.clock = clock
        self.sleep = sleep

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, doing: Doing, params: Parameters | None = None) -> Body:
        """Read. Raises ServiceError; never answers with nothing."""
        body = self._exchange("GET", path, doing, params=params)
        if body is None:
            raise failures.unexpected(doing, "it is empty")
        return body

    def send(self, method: str, path: str, doing: Doing, body: Body | None = None) -> Body | None:
        """Change. None: 204, there was nothing to do. Raises ServiceError, or LostAnswerError."""
        return self._exchange(method, path, doing, body=body)

    def tell(self, text: str) -> None:
        """Report that something is waited for."""
        if self._on_wait is not None:
            self._on_wait(text)

    # --- repeating ------------------------------------------------------------------------------------------

    def _exchange(
        self,
        method: str,
        path: str,
        doing: Doing,
        *,
        params: Parameters | None = None,
        body: Body | None = None,
    ) -> Body | None:
        started = self.clock()
        once = partial(self._once, method, path, doing, params, body)
        try:
            return once()
        except _AgainError as again:
            first = again
        return self._repeat(once, first, started)

    def _repeat(self, once: Callable[[], Body | None], first: _AgainError, started: float) -> Body | None:
        """Try ``once`` again after ``first``, in ever longer pauses, for as long as its failures are worth it."""
        import tenacity  # here, since most commands never get here, and it takes longer to import than a call takes

        told: set[str] = set()
        failed = [first]

        def attempt() -> Body | None:
            if failed:
                raise failed.pop()
            return once()

        def before_sleep(state: tenacity.RetryCallState) -> None:
            again = _again(state)
            if again.failure.code not in told:  # once per cause, not once per attempt
                told.add(again.failure.code)
                self.tell(f"{again.failure.message}; trying again")

        full_jitter = tenacity.wait_random_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S)
        repeating = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_AgainError),
            wait=lambda state: max(_again(state).pause, full_jitter(state)),
            stop=lambda state: self.clock() - started + state.upcoming_sleep > _again(state).budget,
            before_sleep=before_sleep,
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return repeating(attempt)
        except _AgainError as again:
            failure = again.failure
        raise failure  # outside the handler: no chain that could carry a body or a header

    def _once(self, method: str, path: str, doing: Doing, params: Parameters | None, body: Body | None) -> Body | None:
        try:
            response = self._http.request(
                method,
                self.host + path,
                params=dict(params) if params else None,
                json=body,
                headers={"Authorization": f"Bearer {self._key.reveal()}", "Accept": "application/json"},
            )
        except httpx.RequestError as error:
            trouble = self._no_answer(method, doing, error)
        else:
            self._heard = True
            return self._judged(method, doing, response)
        raise trouble

    def _masked(self, text: str) -> str:
        return text.replace(self._key.reveal(), MASK)

    # --- judging --------------------------------------------------------------------------------------------

    def _no_answer(self, method: str, doing: Doing, error: httpx.RequestError) -> Exception:
        failure = failures.unreachable(doing, self.host, answers.reason(error))
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return failure  # a certificate does not get better by asking again
        if method == "GET" or isinstance(error, _NOT_SENT):
            return _AgainError(failure, self.patience.silent if self._heard else self.patience.first)
        return LostAnswerError(failure)

    def _judged(self, method: str, doing: Doing, response: httpx.Response) -> Body | None:
        if response.status_code == 204:
            return None
        if response.is_success:
            return self._decoded(method, doing, response)
        raise self._trouble(method, doing, answers.refusal(response, self._now(), self._masked))

    def _trouble(self, method: str, doing: Doing, refusal: Refusal) -> Exception:
        failure = failures.refused(doing, refusal)
        pause = refusal.retry_after or 0.0
        if refusal.status in (423, 429) or refusal.not_ready:
            return _AgainError(failure, self.patience.busy, pause)
        if refusal.status == 503 or (refusal.status >= 500 and method == "GET"):
            return _AgainError(failure, self.patience.failing, pause)
        return LostAnswerError(failure) if refusal.status >= 500 else failure

    def _decoded(self, method: str, doing: Doing, response: httpx.Response) -> Body:
        try:
            body: object = json.loads(response.content, object_hook=_sealed)
        except ValueError:
            body = None
        if isinstance(body, dict):
            return cast("Body", body)
        failure = failures.unexpected(doing, f"HTTP {response.status_code} without a JSON object")
        if method == "GET":
            raise failure
        raise LostAnswerError(failure)


def _sealed(value: dict[str, Any]) -> dict[str, Any]:
    """Passwords and URIs become Secret while the JSON is being read: no body ever holds a plain one."""
    return {k: Secret(v) if k in _SENSITIVE and isinstance(v, str) else v for k, v in value.items()}


def _again(state: tenacity.RetryCallState) -> _AgainError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _AgainError)
    return error


def _checked_host(api_host: str) -> str:
    """Only https, except to this machine: the key travels in a header."""
    host = api_host.rstrip("/")
    try:
        parts = urlsplit(host)
        name = parts.hostname
        _ = parts.port
    except ValueError:
        name, parts = None, None
    safe = parts is not None and (parts.scheme == "https" or (parts.scheme == "http" and name in _LOOPBACK))
    if parts is None or not name or not safe or parts.username or parts.query or parts.fragment:
        raise UsageError(
            "NEON_API_HOST_INVALID",
            "NEON_API_HOST is not an https address (http is for this machine only)",
            hint="the usual value is https://console.neon.tech/api/v2",
        )
    return host


def _checked_key(key: Secret) -> Secret:
    """A key with spaces or line ends would be quoted in the HTTP library's own error."""
    text = key.reveal()
    if text and all("!" <= character <= "~" for character in text):
        return key
    raise UsageError(
        "NEON_API_KEY_INVALID",
        "the Neon API key is empty or has characters that no key has (spaces, line ends, accents)",
        hint="copy it again; a key is one line, for example from `echo -n`",
    )


def _http_client(host: str) -> httpx.Client:
    local = host.startswith("http:")
    return httpx.Client(
        timeout=httpx.Timeout(60.0, connect=10.0),
        limits=httpx.Limits(max_connections=32, max_keepalive_connections=32),
        # To this machine: no proxy from the environment, and no certificates to load (there is no TLS).
        trust_env=not local,
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if local else True,
    )
