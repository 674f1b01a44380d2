"""Parameter Store: where other modules look up ids and hosts (product.md 4). No secrets in here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from neonctl.vault.failures import call

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_ssm import SSMClient

NAMES_PER_CALL = 10  # AWS's limit for GetParameters and DeleteParameters
PARALLEL = 8


class ParameterStore:
    """The parameters of one AWS account and region. Safe to use from several threads.

    Every method raises ``AwsError`` (``vault.failures``) when AWS refuses or does not answer.
    """

    def __init__(self, client: SSMClient) -> None:
        self._client = client

    def read(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the values of those that exist, ten per call and the calls in parallel."""
        batches = _batches(names)
        if not batches:
            return {}
        with ThreadPoolExecutor(max_workers=min(PARALLEL, len(batches))) as pool:
            answers = tuple(pool.map(self._read_batch, batches))
        return {name: value for answer in answers for name, value in answer.items()}

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names of every parameter that begins so, page by page, without their values."""
        arguments: dict[str, Any] = {
            "ParameterFilters": [{"Key": "Name", "Option": "BeginsWith", "Values": [prefix]}],
            "MaxResults": 50,
        }
        while True:
            page = call("ssm:DescribeParameters", prefix, self._client.describe_parameters, **arguments)
            for found in page["Parameters"]:
                yield found.get("Name", "")
            token = page.get("NextToken")
            if not token:
                return
            arguments["NextToken"] = token

    def put(self, name: str, value: str) -> None:
        """Write a plain string parameter, whether it exists or not."""
        call(
            "ssm:PutParameter",
            name,
            self._client.put_parameter,
            Name=name,
            Value=value,
            Type="String",
            Overwrite=True,
        )

    def delete(self, names: Sequence[str]) -> None:
        """Delete those that exist."""
        for batch in _batches(names):
            call("ssm:DeleteParameters", batch[0], self._client.delete_parameters, Names=batch)

    def _read_batch(self, batch: Sequence[str]) -> Mapping[str, str]:
        answer = call("ssm:GetParameters", batch[0], self._client.get_parameters, Names=batch)
        return {found.get("Name", ""): found.get("Value", "") for found in answer["Parameters"]}


def _batches(names: Sequence[str]) -> tuple[Sequence[str], ...]:
    wanted = tuple(dict.fromkeys(names))  # AWS refuses a name that comes twice
    return tuple(wanted[start : start + NAMES_PER_CALL] for start in range(0, len(wanted), NAMES_PER_CALL))
