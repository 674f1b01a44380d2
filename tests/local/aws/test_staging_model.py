"""The staging rules against a model a reader can check by eye, through boto3, in any order of calls."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TOKENS = [f"{n:032}" for n in range(6)]
LABELS = ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS", "custom"]
VALUES = ["a", "b"]


class Model:
    """label → version, version → value."""

    def __init__(self) -> None:
        self.labels: dict[str, str] = {}
        self.values: dict[str, str] = {}

    def move(self, label: str, version: str) -> None:
        before = self.labels.get(label)
        self.labels[label] = version
        if label == "AWSCURRENT" and before not in {None, version}:
            self.labels["AWSPREVIOUS"] = before  # type: ignore[assignment]

    def put(self, token: str, value: str, labels: list[str]) -> str | None:
        """The error's code, or None."""
        if token in self.values:
            return None if self.values[token] == value else "ResourceExistsException"
        first = not self.values
        self.values[token] = value
        for label in sorted(set(labels) | ({"AWSCURRENT"} if first else set()), key="AWSCURRENT".__eq__):
            self.move(label, token)
        return None

    def update_stage(self, label: str, remove: str | None, to: str | None) -> str | None:
        if any(version is not None and version not in self.values for version in (remove, to)):
            return "ResourceNotFoundException"
        holder = self.labels.get(label)
        mismatch = remove is not None and remove != holder
        unnamed = remove is None and holder is not None and to != holder
        vanishing = to is None and label == "AWSCURRENT"
        if mismatch or unnamed or vanishing:
            return "InvalidParameterException"
        if to is None:
            self.labels.pop(label, None)
        else:
            self.move(label, to)
        return None


def outcome(call: Callable[..., Any], **arguments: Any) -> str | None:
    try:
        call(**{name: value for name, value in arguments.items() if value is not None})
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def machine(client: Any) -> type[RuleBasedStateMachine]:
    class Staging(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.name = f"secret/{uuid.uuid4()}"
            self.model = Model()
            client.create_secret(Name=self.name)

        @rule(
            token=st.sampled_from(TOKENS),
            value=st.sampled_from(VALUES),
            labels=st.lists(st.sampled_from(LABELS), unique=True, max_size=2),
        )
        def put(self, token: str, value: str, labels: list[str]) -> None:
            code = outcome(
                client.put_secret_value,
                SecretId=self.name,
                ClientRequestToken=token,
                SecretString=value,
                VersionStages=labels or None,
            )
            assert code == self.model.put(token, value, labels or ["AWSCURRENT"])

        @rule(
            label=st.sampled_from(LABELS),
            versions=st.tuples(st.sampled_from([None, *TOKENS]), st.sampled_from([None, *TOKENS])).filter(any),
        )
        def update_stage(self, label: str, versions: tuple[str | None, str | None]) -> None:
            remove, to = versions
            code = outcome(
                client.update_secret_version_stage,
                SecretId=self.name,
                VersionStage=label,
                RemoveFromVersionId=remove,
                MoveToVersionId=to,
            )
            assert code == self.model.update_stage(label, remove, to)

        @precondition(lambda self: "AWSCURRENT" in self.model.labels)
        @rule(to=st.sampled_from(TOKENS))
        def promote(self, to: str) -> None:
            """As a rotation does it, so that valid moves are frequent."""
            self.update_stage("AWSCURRENT", (self.model.labels["AWSCURRENT"], to))

        @invariant()
        def labels_agree(self) -> None:
            expected: dict[str, list[str]] = {}
            for label, version in sorted(self.model.labels.items()):
                expected.setdefault(version, []).append(label)
            assert client.describe_secret(SecretId=self.name).get("VersionIdsToStages", {}) == expected

        @precondition(lambda self: self.model.labels)
        @rule(data=st.data())
        def read(self, data: st.DataObject) -> None:
            label = data.draw(st.sampled_from(sorted(self.model.labels)))
            read = client.get_secret_value(SecretId=self.name, VersionStage=label)
            version = self.model.labels[label]
            assert (read["VersionId"], read["SecretString"]) == (version, self.model.values[version])

        def teardown(self) -> None:
            client.delete_secret(SecretId=self.name, ForceDeleteWithoutRecovery=True)

    return Staging


def test_staging_follows_the_model(local: Any) -> None:
    run_state_machine_as_test(
        machine(local.client("secretsmanager")),
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            database=None,
            # Twenty steps read well as they are; shrinking over HTTP would outlast the test's time limit.
            phases=[Phase.generate],
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
