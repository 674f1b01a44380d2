from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neonctl.vault.failures import AwsError

if TYPE_CHECKING:
    from neonctl.vault.parameters import ParameterStore

    from .conftest import Endpoint


@pytest.fixture
def parameters(aws_endpoint: Endpoint) -> ParameterStore:
    return aws_endpoint.access.parameters()


def test_put_read_delete(parameters: ParameterStore, name: str) -> None:
    names = [f"/{name}/{number}" for number in range(23)]
    for number, each in enumerate(names):
        parameters.put(each, str(number))
    parameters.put(names[3], "again")
    found = parameters.read([*names, names[0], f"/{name}/missing"])
    assert found == {each: "again" if each == names[3] else str(number) for number, each in enumerate(names)}
    parameters.delete([*names[:12], f"/{name}/missing"])
    assert set(parameters.read(names)) == set(names[12:])


def test_calls_keep_the_limits_of_aws(parameters: ParameterStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    client = parameters._client
    whole = client.get_parameters
    monkeypatch.setattr(client, "get_parameters", lambda Names: (asked.append(Names), whole(Names=Names))[1])
    names = [f"/limits/{number}" for number in range(25)]
    parameters.read([*names, *names])
    assert sorted(name for batch in asked for name in batch) == sorted(names)
    assert max(len(batch) for batch in asked) <= 10


def test_nothing_asked_nothing_done(parameters: ParameterStore) -> None:
    assert parameters.read([]) == {}
    parameters.delete([])


def test_a_refusal_names_action_and_parameter(parameters: ParameterStore) -> None:
    with pytest.raises(AwsError) as caught:
        parameters.put("/aws/reserved", "x")
    assert caught.value.details["action"] == "ssm:PutParameter"
    assert "/aws/reserved" in caught.value.message
