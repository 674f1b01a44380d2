"""Secrets Manager through boto3: what AWS documents, on our endpoint and on moto."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

NAME = "bank-neon/prod/bank_core/app_user"


def stages(client: Any, name: str = NAME) -> dict[str, list[str]]:
    shown = client.describe_secret(SecretId=name)["VersionIdsToStages"]
    return {version: sorted(labels) for version, labels in shown.items() if labels}


def value(client: Any, stage: str = "AWSCURRENT", name: str = NAME) -> str:
    return client.get_secret_value(SecretId=name, VersionStage=stage)["SecretString"]


@pytest.fixture
def client(both: Any) -> Any:
    return both.client("secretsmanager")


@pytest.fixture
def ours(local: Any) -> Any:
    return local.client("secretsmanager")


class TestCreateAndRead:
    def test_a_new_secret_is_current_and_readable_by_name_and_arn(self, client: Any) -> None:
        made = client.create_secret(Name=NAME, SecretString='{"a": 1}', Tags=[{"Key": "stage", "Value": "prod"}])
        assert made["ARN"].startswith("arn:aws:secretsmanager:ap-southeast-2:")
        assert len(made["ARN"].rsplit("-", 1)[1]) == 6
        for secret_id in (NAME, made["ARN"], made["ARN"][:-7]):
            read = client.get_secret_value(SecretId=secret_id)
            assert (read["SecretString"], read["VersionId"]) == ('{"a": 1}', made["VersionId"])
            assert read["VersionStages"] == ["AWSCURRENT"]
        shown = client.describe_secret(SecretId=NAME)
        assert shown["Tags"] == [{"Key": "stage", "Value": "prod"}]
        assert shown["VersionIdsToStages"] == {made["VersionId"]: ["AWSCURRENT"]}
        assert shown["ARN"] == made["ARN"]

    def test_binary_values_come_back_as_bytes(self, client: Any) -> None:
        client.create_secret(Name=NAME, SecretBinary=b"\x00\xff")
        read = client.get_secret_value(SecretId=NAME)
        assert read["SecretBinary"] == b"\x00\xff"
        assert "SecretString" not in read

    def test_the_same_token_and_value_create_once(self, client: Any) -> None:
        token = str(uuid.uuid4())
        first = client.create_secret(Name=NAME, SecretString="one", ClientRequestToken=token)
        again = client.create_secret(Name=NAME, SecretString="one", ClientRequestToken=token)
        assert (first["ARN"], first["VersionId"]) == (again["ARN"], again["VersionId"])
        assert first["VersionId"] == token

    def test_a_taken_name_is_refused(self, client: Any, refused: Any) -> None:
        client.create_secret(Name=NAME, SecretString="one")
        with refused(client, "ResourceExistsException"):
            client.create_secret(Name=NAME, SecretString="two")
        assert value(client) == "one"

    def test_a_secret_without_value_has_nothing_to_read(self, client: Any, refused: Any) -> None:
        assert "VersionId" not in client.create_secret(Name=NAME)
        with refused(client, "ResourceNotFoundException", "AWSCURRENT"):
            client.get_secret_value(SecretId=NAME)

    def test_what_is_not_there_is_not_found(self, client: Any, refused: Any) -> None:
        with refused(client, "ResourceNotFoundException", "can't find the specified secret"):
            client.get_secret_value(SecretId=NAME)
        with refused(client, "ResourceNotFoundException"):
            client.describe_secret(SecretId=NAME)
        client.create_secret(Name=NAME, SecretString="one")
        with refused(client, "ResourceNotFoundException"):
            client.get_secret_value(SecretId=NAME, VersionStage="AWSPENDING")

    def test_version_and_stage_must_agree(self, client: Any, refused: Any) -> None:
        made = client.create_secret(Name=NAME, SecretString="one")
        new = client.put_secret_value(SecretId=NAME, SecretString="two")
        read = client.get_secret_value(SecretId=NAME, VersionId=made["VersionId"], VersionStage="AWSPREVIOUS")
        assert read["SecretString"] == "one"
        with refused(client, "InvalidRequestException"):
            client.get_secret_value(SecretId=NAME, VersionId=new["VersionId"], VersionStage="AWSPREVIOUS")


class TestStaging:
    def test_a_plain_put_moves_current_and_previous(self, client: Any) -> None:
        ids = [client.create_secret(Name=NAME, SecretString="0")["VersionId"]]
        ids += [client.put_secret_value(SecretId=NAME, SecretString=str(n))["VersionId"] for n in (1, 2)]
        assert stages(client) == {ids[2]: ["AWSCURRENT"], ids[1]: ["AWSPREVIOUS"]}
        assert (value(client), value(client, "AWSPREVIOUS")) == ("2", "1")

    def test_a_pending_put_leaves_current_alone(self, client: Any) -> None:
        old = client.create_secret(Name=NAME, SecretString="old")["VersionId"]
        new = client.put_secret_value(SecretId=NAME, SecretString="new", VersionStages=["AWSPENDING"])
        assert stages(client) == {old: ["AWSCURRENT"], new["VersionId"]: ["AWSPENDING"]}
        assert (value(client), value(client, "AWSPENDING")) == ("old", "new")

    def test_promotion(self, client: Any) -> None:
        old = client.create_secret(Name=NAME, SecretString="old")["VersionId"]
        new = client.put_secret_value(SecretId=NAME, SecretString="new", VersionStages=["AWSPENDING"])["VersionId"]
        client.update_secret_version_stage(
            SecretId=NAME, VersionStage="AWSCURRENT", MoveToVersionId=new, RemoveFromVersionId=old
        )
        assert stages(client) == {new: ["AWSCURRENT", "AWSPENDING"], old: ["AWSPREVIOUS"]}
        assert value(client) == "new"
        client.update_secret_version_stage(SecretId=NAME, VersionStage="AWSPENDING", RemoveFromVersionId=new)
        assert stages(client) == {new: ["AWSCURRENT"], old: ["AWSPREVIOUS"]}

    def test_moving_current_needs_its_version(self, client: Any, refused: Any) -> None:
        old = client.create_secret(Name=NAME, SecretString="old")["VersionId"]
        new = client.put_secret_value(SecretId=NAME, SecretString="new", VersionStages=["AWSPENDING"])["VersionId"]
        with refused(client, "InvalidParameterException", "RemoveFromVersionId"):
            client.update_secret_version_stage(SecretId=NAME, VersionStage="AWSCURRENT", MoveToVersionId=new)
        with refused(client, "InvalidParameterException"):
            client.update_secret_version_stage(
                SecretId=NAME, VersionStage="AWSCURRENT", MoveToVersionId=new, RemoveFromVersionId=new
            )
        assert stages(client)[old] == ["AWSCURRENT"]

    def test_the_same_token_and_value_put_once(self, client: Any) -> None:
        client.create_secret(Name=NAME, SecretString="old")
        token = str(uuid.uuid4())
        for _ in range(2):
            put = client.put_secret_value(
                SecretId=NAME, SecretString="new", ClientRequestToken=token, VersionStages=["AWSPENDING"]
            )
            assert (put["VersionId"], put["VersionStages"]) == (token, ["AWSPENDING"])
        assert len(stages(client)) == 2

    def test_update_secret_moves_current(self, client: Any) -> None:
        old = client.create_secret(Name=NAME, SecretString="old")["VersionId"]
        new = client.update_secret(SecretId=NAME, SecretString="new", Description="d")["VersionId"]
        assert stages(client) == {new: ["AWSCURRENT"], old: ["AWSPREVIOUS"]}
        assert client.describe_secret(SecretId=NAME)["Description"] == "d"


class TestOursOnly:
    """Where moto is wrong or silent; the deviations themselves stand in test_moto_deviations.py."""

    def test_a_used_token_is_refused_by_every_write(self, ours: Any, refused: Any) -> None:
        token = str(uuid.uuid4())
        ours.create_secret(Name=NAME, SecretString="one", ClientRequestToken=token)
        with refused(ours, "ResourceExistsException", token):
            ours.put_secret_value(SecretId=NAME, SecretString="two", ClientRequestToken=token)
        with refused(ours, "ResourceExistsException"):
            ours.create_secret(Name=NAME, SecretString="two", ClientRequestToken=token)
        with refused(ours, "ResourceExistsException"):
            ours.update_secret(SecretId=NAME, SecretString="one", ClientRequestToken=token)
        with refused(ours, "ResourceExistsException"):
            ours.put_secret_value(SecretId=NAME, SecretBinary=b"one", ClientRequestToken=token)
        assert value(ours) == "one"

    def test_a_name_scheduled_for_deletion_is_refused(self, ours: Any, refused: Any) -> None:
        ours.create_secret(Name=NAME, SecretString="one")
        ours.delete_secret(SecretId=NAME)
        with refused(ours, "InvalidRequestException", "already scheduled for deletion"):
            ours.create_secret(Name=NAME, SecretString="one")

    def test_a_used_token_with_another_value_is_refused(self, ours: Any, refused: Any) -> None:
        ours.create_secret(Name=NAME, SecretString="old")
        token = str(uuid.uuid4())
        put = {"SecretId": NAME, "ClientRequestToken": token, "VersionStages": ["AWSPENDING"]}
        ours.put_secret_value(SecretString="new", **put)
        with refused(ours, "ResourceExistsException"):
            ours.put_secret_value(SecretString="other", **put)
        assert value(ours, "AWSPENDING") == "new"

    def test_reading_without_a_stage_follows_a_promotion(self, ours: Any) -> None:
        old = ours.create_secret(Name=NAME, SecretString="old")["VersionId"]
        new = ours.put_secret_value(SecretId=NAME, SecretString="new", VersionStages=["AWSPENDING"])["VersionId"]
        ours.update_secret_version_stage(
            SecretId=NAME, VersionStage="AWSCURRENT", MoveToVersionId=new, RemoveFromVersionId=old
        )
        assert ours.get_secret_value(SecretId=NAME)["SecretString"] == "new"
        third = ours.put_secret_value(SecretId=NAME, SecretString="third")["VersionId"]
        assert stages(ours) == {third: ["AWSCURRENT"], new: ["AWSPENDING", "AWSPREVIOUS"]}

    def test_a_repeated_promotion_is_refused_and_harmless(self, ours: Any, refused: Any) -> None:
        old = ours.create_secret(Name=NAME, SecretString="old")["VersionId"]
        new = ours.put_secret_value(SecretId=NAME, SecretString="new", VersionStages=["AWSPENDING"])["VersionId"]
        move = {
            "SecretId": NAME,
            "VersionStage": "AWSCURRENT",
            "MoveToVersionId": new,
            "RemoveFromVersionId": old,
        }
        ours.update_secret_version_stage(**move)
        before = stages(ours)
        with refused(ours, "InvalidParameterException", "RemoveFromVersionId"):
            ours.update_secret_version_stage(**move)
        assert stages(ours) == before

    def test_a_first_pending_version_is_current_too(self, ours: Any) -> None:
        ours.create_secret(Name=NAME)
        made = ours.put_secret_value(SecretId=NAME, SecretString="one", VersionStages=["AWSPENDING"])
        assert made["VersionStages"] == ["AWSCURRENT", "AWSPENDING"]

    def test_current_moves_but_never_vanishes(self, ours: Any, refused: Any) -> None:
        made = ours.create_secret(Name=NAME, SecretString="one")
        with refused(ours, "InvalidParameterException", "can't be completely removed"):
            ours.update_secret_version_stage(
                SecretId=NAME, VersionStage="AWSCURRENT", RemoveFromVersionId=made["VersionId"]
            )
        with refused(ours, "ResourceNotFoundException"):
            ours.update_secret_version_stage(
                SecretId=NAME, VersionStage="AWSPENDING", MoveToVersionId=str(uuid.uuid4())
            )

    def test_versions_without_labels_are_deprecated(self, ours: Any) -> None:
        ids = [ours.create_secret(Name=NAME, SecretString="0")["VersionId"]]
        ids += [ours.put_secret_value(SecretId=NAME, SecretString=str(n))["VersionId"] for n in (1, 2)]
        listed = ours.list_secret_version_ids(SecretId=NAME)["Versions"]
        assert [version["VersionId"] for version in listed] == [ids[2], ids[1]]
        everything = ours.list_secret_version_ids(SecretId=NAME, IncludeDeprecated=True)["Versions"]
        assert [version["VersionId"] for version in everything] == list(reversed(ids))
        assert "VersionStages" not in everything[2]
        assert ours.get_secret_value(SecretId=NAME, VersionId=ids[0])["SecretString"] == "0"

    def test_the_limit_is_64_kib(self, ours: Any) -> None:
        ours.create_secret(Name=NAME, SecretString="x" * 65536)
        with pytest.raises(ClientError, match="65536"):
            ours.put_secret_value(SecretId=NAME, SecretString="x" * 65535 + "é")

    def test_rotation_without_a_lambda_is_refused(self, ours: Any, refused: Any) -> None:
        ours.create_secret(Name=NAME, SecretString="one")
        with refused(ours, "InvalidRequestException", "No Lambda rotation function"):
            ours.rotate_secret(SecretId=NAME)
        assert value(ours) == "one"

    def test_a_key_that_does_not_exist_is_refused(self, local: Any, ours: Any, refused: Any) -> None:
        with refused(ours, "EncryptionFailure", "the KMS key absent"):
            ours.create_secret(Name=NAME, SecretString="one", KmsKeyId="absent")
        with refused(ours, "ResourceNotFoundException"):
            ours.describe_secret(SecretId=NAME)
        kms = local.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName="alias/bank", TargetKeyId=key)
        ours.create_secret(Name=NAME, SecretString="one", KmsKeyId="alias/bank")
        assert ours.describe_secret(SecretId=NAME)["KmsKeyId"] == "alias/bank"
        ours.update_secret(SecretId=NAME, KmsKeyId="alias/aws/secretsmanager")

    def test_concurrent_puts_leave_one_current_and_one_previous(self, ours: Any) -> None:
        ours.create_secret(Name=NAME, SecretString="first")
        with ThreadPoolExecutor(16) as pool:
            puts = list(pool.map(lambda n: ours.put_secret_value(SecretId=NAME, SecretString=f"value {n}"), range(32)))
        assert len({put["VersionId"] for put in puts}) == 32
        assert sorted(label for labels in stages(ours).values() for label in labels) == [
            "AWSCURRENT",
            "AWSPREVIOUS",
        ]
        versions = ours.list_secret_version_ids(SecretId=NAME, IncludeDeprecated=True)["Versions"]
        assert len(versions) == 33

    def test_concurrent_creations_make_one_secret(self, ours: Any) -> None:
        def create(n: int) -> str:
            try:
                return ours.create_secret(Name=NAME, SecretString=str(n))["ARN"]
            except ours.exceptions.ResourceExistsException:
                return "refused"

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(create, range(8)))
        assert answers.count("refused") == 7


class TestDeletion:
    def test_scheduled_then_restored(self, client: Any, refused: Any) -> None:
        client.create_secret(Name=NAME, SecretString="one")
        client.delete_secret(SecretId=NAME, RecoveryWindowInDays=7)
        with refused(client, "InvalidRequestException", "marked"):
            client.get_secret_value(SecretId=NAME)
        assert "DeletedDate" in client.describe_secret(SecretId=NAME)
        assert client.list_secrets()["SecretList"] == []
        assert len(client.list_secrets(IncludePlannedDeletion=True)["SecretList"]) == 1
        client.restore_secret(SecretId=NAME)
        assert value(client) == "one"
        assert "DeletedDate" not in client.describe_secret(SecretId=NAME)

    def test_forced_deletion_frees_the_name_and_repeats_quietly(self, client: Any) -> None:
        first = client.create_secret(Name=NAME, SecretString="one")["ARN"]
        for _ in range(2):
            client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
        second = client.create_secret(Name=NAME, SecretString="two")["ARN"]
        assert first != second
        assert value(client) == "two"

    @pytest.mark.parametrize("window", [6, 31])
    def test_the_window_is_7_to_30_days(self, client: Any, window: int) -> None:
        client.create_secret(Name=NAME, SecretString="one")
        with pytest.raises(ClientError, match="7 and 30"):
            client.delete_secret(SecretId=NAME, RecoveryWindowInDays=window)

    def test_window_and_force_exclude_each_other(self, client: Any, refused: Any) -> None:
        client.create_secret(Name=NAME, SecretString="one")
        with refused(client, "InvalidParameterException"):
            client.delete_secret(SecretId=NAME, RecoveryWindowInDays=7, ForceDeleteWithoutRecovery=True)

    def test_a_secret_marked_for_deletion_takes_no_changes(self, ours: Any, refused: Any) -> None:
        ours.create_secret(Name=NAME, SecretString="one")
        ours.delete_secret(SecretId=NAME)
        for change in (
            lambda: ours.put_secret_value(SecretId=NAME, SecretString="two"),
            lambda: ours.update_secret(SecretId=NAME, Description="d"),
            lambda: ours.tag_resource(SecretId=NAME, Tags=[{"Key": "a", "Value": "b"}]),
            lambda: ours.delete_secret(SecretId=NAME),
        ):
            with refused(ours, "InvalidRequestException"):
                change()

    def test_after_the_window_the_secret_is_gone(self, ours: Any, clock: list[float], refused: Any) -> None:
        ours.create_secret(Name=NAME, SecretString="one", Tags=[{"Key": "a", "Value": "b"}])
        ours.delete_secret(SecretId=NAME, RecoveryWindowInDays=7)
        clock[0] = 7 * 86400 + 1
        with refused(ours, "ResourceNotFoundException"):
            ours.restore_secret(SecretId=NAME)
        ours.create_secret(Name=NAME, SecretString="two")
        assert "Tags" not in ours.describe_secret(SecretId=NAME)

    def test_old_deprecated_versions_beyond_a_hundred_go(self, ours: Any, clock: list[float]) -> None:
        ours.create_secret(Name=NAME, SecretString="0")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: ours.put_secret_value(SecretId=NAME, SecretString=str(n)), range(104)))
        assert len(_all_versions(ours)) == 105
        clock[0] = 86400 + 60
        ours.put_secret_value(SecretId=NAME, SecretString="last")
        assert len(_all_versions(ours)) == 100


def _all_versions(client: Any) -> list[str]:
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = client.list_secret_version_ids(SecretId=NAME, IncludeDeprecated=True, MaxResults=50, **token)
        found += [version["VersionId"] for version in answer["Versions"]]
        if "NextToken" not in answer:
            return found
        token = {"NextToken": answer["NextToken"]}


class TestListing:
    def test_pages_show_every_secret_once(self, client: Any) -> None:
        names = {f"secret-{n:02}" for n in range(25)}
        for name in names:
            client.create_secret(Name=name, SecretString="x")
        pages = list(client.get_paginator("list_secrets").paginate(PaginationConfig={"PageSize": 10}))
        assert [len(page["SecretList"]) for page in pages] == [10, 10, 5]
        listed = [entry["Name"] for page in pages for entry in page["SecretList"]]
        assert (len(listed), set(listed)) == (25, names)

    def test_secrets_that_come_and_go_between_pages_hide_no_other(self, ours: Any) -> None:
        for n in range(6):
            ours.create_secret(Name=f"secret-{n}", SecretString="x")
        first = ours.list_secrets(MaxResults=3)
        ours.create_secret(Name="late", SecretString="x")
        ours.delete_secret(SecretId="secret-5", ForceDeleteWithoutRecovery=True)
        second = ours.list_secrets(MaxResults=10, NextToken=first["NextToken"])
        names = [entry["Name"] for entry in first["SecretList"] + second["SecretList"]]
        assert names == [f"secret-{n}" for n in (5, 4, 3, 2, 1, 0)]

    @pytest.mark.parametrize(
        ("key", "values", "expected"),
        [
            ("name", ["bank-neon/prod"], {"bank-neon/prod/a", "bank-neon/prod/b"}),
            ("name", ["bank-neon/uat", "other"], {"bank-neon/uat/a", "other"}),
            ("tag-key", ["own"], {"bank-neon/prod/a"}),
            ("tag-value", ["neonctl"], {"bank-neon/prod/a"}),
            ("description", ["the"], {"other"}),
        ],
    )
    def test_filters(self, client: Any, key: str, values: list[str], expected: set[str]) -> None:
        tags = [{"Key": "owner", "Value": "neonctl"}]
        client.create_secret(Name="bank-neon/prod/a", SecretString="x", Tags=tags)
        client.create_secret(Name="bank-neon/prod/b", SecretString="x")
        client.create_secret(Name="bank-neon/uat/a", SecretString="x")
        client.create_secret(Name="other", SecretString="x", Description="The other one")
        found = client.list_secrets(Filters=[{"Key": key, "Values": values}])["SecretList"]
        assert {entry["Name"] for entry in found} == expected

    def test_a_strange_token_is_refused(self, ours: Any, refused: Any) -> None:
        ours.create_secret(Name=NAME, SecretString="x")
        for token in ("nonsense", "W10=", "WyJhIl0=", "e30="):
            with refused(ours, "InvalidNextTokenException"):
                ours.list_secrets(NextToken=token)

    def test_batch(self, client: Any) -> None:
        for n in range(3):
            client.create_secret(Name=f"s{n}", SecretString=str(n))
        answer = client.batch_get_secret_value(SecretIdList=["s0", "s2", "absent"])
        assert {entry["Name"]: entry["SecretString"] for entry in answer["SecretValues"]} == {
            "s0": "0",
            "s2": "2",
        }
        assert [(error["SecretId"], error["ErrorCode"]) for error in answer["Errors"]] == [
            ("absent", "ResourceNotFoundException")
        ]
        by_filter = client.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["s1"]}])
        assert [entry["SecretString"] for entry in by_filter["SecretValues"]] == ["1"]

    def test_batch_by_filter_in_pages(self, ours: Any) -> None:
        for n in range(5):
            ours.create_secret(Name=f"s{n}", SecretString=str(n))
        values: list[str] = []
        token: dict[str, str] = {}
        for size in (2, 2, 1):
            page = ours.batch_get_secret_value(Filters=[{"Key": "name", "Values": ["s"]}], MaxResults=2, **token)
            assert len(page["SecretValues"]) == size
            values += [entry["SecretString"] for entry in page["SecretValues"]]
            token = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
        assert (values, token) == (["4", "3", "2", "1", "0"], {})


def test_tags_change_and_go(both: Any) -> None:
    client = both.client("secretsmanager")
    client.create_secret(Name=NAME, SecretString="x", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    client.tag_resource(SecretId=NAME, Tags=[{"Key": "b", "Value": "3"}, {"Key": "c", "Value": "4"}])
    client.untag_resource(SecretId=NAME, TagKeys=["a", "absent"])
    tags = {tag["Key"]: tag["Value"] for tag in client.describe_secret(SecretId=NAME)["Tags"]}
    assert tags == {"b": "3", "c": "4"}


def test_random_password(both: Any) -> None:
    client = both.client("secretsmanager")
    made = client.get_random_password(PasswordLength=40, ExcludePunctuation=True, ExcludeCharacters="abc")
    password = made["RandomPassword"]
    assert len(password) == 40
    assert password.isalnum()
    assert not set(password) & set("abc")
    assert password != client.get_random_password(PasswordLength=40)["RandomPassword"]


def test_reading_notes_the_day_of_access(local: Any, clock: list[float]) -> None:
    client = local.client("secretsmanager")
    client.create_secret(Name=NAME, SecretString=json.dumps({"a": 1}))
    assert "LastAccessedDate" not in client.describe_secret(SecretId=NAME)
    client.get_secret_value(SecretId=NAME)
    first = client.describe_secret(SecretId=NAME)["LastAccessedDate"]
    clock[0] = 86400.0
    client.get_secret_value(SecretId=NAME)
    second = client.describe_secret(SecretId=NAME)["LastAccessedDate"]
    assert (second - first).days == 1
