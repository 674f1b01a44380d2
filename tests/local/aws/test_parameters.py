"""SSM Parameter Store through boto3, on our endpoint and on moto."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

NAME = "/bank/prod/neon/branch-id"


@pytest.fixture
def client(both: Any) -> Any:
    return both.client("ssm")


@pytest.fixture
def ours(local: Any) -> Any:
    return local.client("ssm")


def put(client: Any, name: str = NAME, value: str = "br-1", **options: Any) -> Any:
    return client.put_parameter(Name=name, Value=value, **{"Type": "String", **options})


def test_write_and_read(client: Any) -> None:
    assert put(client)["Version"] == 1
    read = client.get_parameter(Name=NAME)["Parameter"]
    assert (read["Name"], read["Type"], read["Value"], read["Version"]) == (NAME, "String", "br-1", 1)
    assert read["ARN"] == f"arn:aws:ssm:ap-southeast-2:{read['ARN'].split(':')[4]}:parameter{NAME}"
    assert client.get_parameter(Name=read["ARN"])["Parameter"]["Value"] == "br-1"


def test_writing_again_needs_overwrite(client: Any, refused: Any) -> None:
    put(client)
    with refused(client, "ParameterAlreadyExists"):
        put(client, value="br-2")
    assert put(client, value="br-2", Overwrite=True)["Version"] == 2
    assert client.get_parameter(Name=NAME)["Parameter"]["Value"] == "br-2"
    assert client.get_parameter(Name=f"{NAME}:1")["Parameter"]["Value"] == "br-1"


def test_an_overwrite_keeps_the_type(client: Any) -> None:
    put(client, Type="StringList", value="a,b")
    client.put_parameter(Name=NAME, Value="c", Overwrite=True)
    assert client.get_parameter(Name=NAME)["Parameter"]["Type"] == "StringList"


def test_selectors(client: Any, refused: Any) -> None:
    put(client)
    put(client, value="br-2", Overwrite=True)
    client.label_parameter_version(Name=NAME, ParameterVersion=1, Labels=["live"])
    read = client.get_parameter(Name=f"{NAME}:live")["Parameter"]
    assert (read["Name"], read["Value"]) == (NAME, "br-1")
    with refused(client, "ParameterVersionNotFound"):
        client.get_parameter(Name=f"{NAME}:9")
    with refused(client, "ParameterNotFound"):
        client.get_parameter(Name="/absent")


def test_secure_strings_show_their_value_on_request_only(client: Any) -> None:
    put(client, value="hidden", Type="SecureString")
    assert "hidden" not in client.get_parameter(Name=NAME)["Parameter"]["Value"].split(":")[0]
    assert client.get_parameter(Name=NAME, WithDecryption=True)["Parameter"]["Value"] == "hidden"
    assert client.get_parameter_history(Name=NAME, WithDecryption=True)["Parameters"][0]["Value"] == "hidden"


def test_tags_on_creation_only(client: Any) -> None:
    tags = [{"Key": "owner", "Value": "neonctl"}]
    put(client, Tags=tags)
    with pytest.raises(ClientError, match="tags and overwrite"):
        put(client, Tags=tags, Overwrite=True)
    client.add_tags_to_resource(ResourceType="Parameter", ResourceId=NAME, Tags=[{"Key": "stage", "Value": "prod"}])
    client.remove_tags_from_resource(ResourceType="Parameter", ResourceId=NAME, TagKeys=["owner"])
    listed = client.list_tags_for_resource(ResourceType="Parameter", ResourceId=NAME)["TagList"]
    assert listed == [{"Key": "stage", "Value": "prod"}]


def test_several_at_once(client: Any) -> None:
    put(client, "/a/1")
    put(client, "/a/2")
    answer = client.get_parameters(Names=["/a/1", "/a/2", "/a/3"])
    assert sorted(found["Name"] for found in answer["Parameters"]) == ["/a/1", "/a/2"]
    assert answer["InvalidParameters"] == ["/a/3"]
    gone = client.delete_parameters(Names=["/a/1", "/a/3"])
    assert (gone["DeletedParameters"], gone["InvalidParameters"]) == (["/a/1"], ["/a/3"])


def test_deletion(client: Any, refused: Any) -> None:
    put(client)
    client.delete_parameter(Name=NAME)
    with refused(client, "ParameterNotFound"):
        client.delete_parameter(Name=NAME)
    assert put(client)["Version"] == 1


def test_by_path_one_level_or_all_in_pages(client: Any) -> None:
    for n in range(12):
        put(client, f"/bank/prod/{n:02}")
    put(client, "/bank/prod/deeper/one")
    put(client, "/bank/production/not-this")
    pager = client.get_paginator("get_parameters_by_path")
    flat = [found["Name"] for page in pager.paginate(Path="/bank/prod") for found in page["Parameters"]]
    assert sorted(flat) == [f"/bank/prod/{n:02}" for n in range(12)]
    deep = [p["Name"] for page in pager.paginate(Path="/bank/prod/", Recursive=True) for p in page["Parameters"]]
    assert len(deep) == len(set(deep)) == 13


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"Key": "Name", "Option": "BeginsWith", "Values": ["/bank/prod"]}, {"/bank/prod/a", "/bank/prod/b"}),
        ({"Key": "Name", "Values": ["/bank/uat/a"]}, {"/bank/uat/a"}),
        ({"Key": "Name", "Option": "Contains", "Values": ["uat"]}, {"/bank/uat/a"}),
        ({"Key": "Type", "Values": ["SecureString"]}, {"/bank/prod/b"}),
        (
            {"Key": "Path", "Option": "Recursive", "Values": ["/bank"]},
            {"/bank/prod/a", "/bank/prod/b", "/bank/uat/a"},
        ),
        ({"Key": "tag:stage", "Values": ["uat"]}, {"/bank/uat/a"}),
    ],
)
def test_described_with_filters(client: Any, wanted: dict[str, Any], expected: set[str]) -> None:
    put(client, "/bank/prod/a")
    put(client, "/bank/prod/b", Type="SecureString")
    put(client, "/bank/uat/a", Tags=[{"Key": "stage", "Value": "uat"}])
    put(client, "/other")
    found = client.describe_parameters(ParameterFilters=[wanted])["Parameters"]
    assert {entry["Name"] for entry in found} == expected
    assert all("Value" not in entry for entry in found)


def test_history_tells_every_version(client: Any) -> None:
    put(client, Description="first")
    put(client, value="br-2", Overwrite=True)
    history = client.get_parameter_history(Name=NAME)["Parameters"]
    assert [(entry["Version"], entry["Value"]) for entry in history] == [(1, "br-1"), (2, "br-2")]


@pytest.mark.parametrize("name", ["/aws/x", "ssm-x", "a/b", "/with space/x"])
def test_bad_names_are_refused(ours: Any, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        put(ours, name)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_values_have_limits(ours: Any, refused: Any) -> None:
    put(ours, value="x" * 4096)
    with pytest.raises(ClientError, match="4096"):
        put(ours, "/b", value="x" * 4097)
    assert put(ours, "/b", value="x" * 4097, Tier="Intelligent-Tiering")["Tier"] == "Advanced"
    with pytest.raises(ClientError, match="8192"):
        put(ours, "/c", value="x" * 8193, Tier="Advanced")
    with pytest.raises(ClientError, match="downgrade"):
        put(ours, "/b", value="x", Tier="Standard", Overwrite=True)
    with refused(ours, "ParameterPatternMismatchException"):
        put(ours, "/d", value="abc", AllowedPattern=r"^\d+$")
    with refused(ours, "HierarchyTypeMismatchException"):
        put(ours, "/b", value="x", Type="SecureString", Overwrite=True)
    with refused(ours, "InvalidKeyId"):
        put(ours, "/e", Type="SecureString", KeyId="absent")


def test_a_hundred_versions_are_kept_unless_labelled(ours: Any, refused: Any) -> None:
    for n in range(101):
        put(ours, value=str(n), Overwrite=True)
    with refused(ours, "ParameterVersionNotFound"):
        ours.get_parameter(Name=f"{NAME}:1")
    ours.label_parameter_version(Name=NAME, ParameterVersion=2, Labels=["keep"])
    with refused(ours, "ParameterMaxVersionLimitExceeded"):
        put(ours, value="more", Overwrite=True)
    assert ours.get_parameter(Name=NAME)["Parameter"]["Value"] == "100"


def test_a_selector_is_told(ours: Any) -> None:
    put(ours)
    assert ours.get_parameter(Name=f"{NAME}:1")["Parameter"]["Selector"] == ":1"
    assert "Selector" not in ours.get_parameter(Name=NAME)["Parameter"]


def test_labels_that_break_the_rules_are_reported(ours: Any) -> None:
    put(ours)
    answer = ours.label_parameter_version(Name=NAME, Labels=["good", "1bad", "aws-bad"])
    assert answer["InvalidLabels"] == ["1bad", "aws-bad"]
    assert ours.get_parameter_history(Name=NAME)["Parameters"][0]["Labels"] == ["good"]


def test_tags_of_nothing_are_refused(ours: Any, refused: Any) -> None:
    with refused(ours, "InvalidResourceId"):
        ours.list_tags_for_resource(ResourceType="Parameter", ResourceId="/absent")
    with refused(ours, "InvalidResourceType"):
        ours.list_tags_for_resource(ResourceType="Document", ResourceId="x")
