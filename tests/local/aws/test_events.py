"""EventBridge through boto3, and the list of what arrived."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

ENTRY = {"Source": "bank.obr", "DetailType": "OBR_ACTIVATED", "Detail": '{"haircut": "0.2500"}'}


def arrived(endpoint: Any, query: str = "", headers: dict[str, str] | None = None) -> Any:
    request = urllib.request.Request(f"{endpoint.url}/_local/events{query}", headers=headers or {})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


@pytest.fixture
def client(both: Any) -> Any:
    return both.client("events")


def test_buses(client: Any, refused: Any) -> None:
    arn = client.create_event_bus(Name="bank")["EventBusArn"]
    assert arn.endswith(":event-bus/bank")
    assert client.describe_event_bus(Name="bank")["Arn"] == arn
    assert client.describe_event_bus()["Name"] == "default"
    assert sorted(bus["Name"] for bus in client.list_event_buses()["EventBuses"]) == ["bank", "default"]
    with refused(client, "ResourceAlreadyExistsException"):
        client.create_event_bus(Name="bank")
    client.delete_event_bus(Name="bank")
    with refused(client, "ResourceNotFoundException"):
        client.describe_event_bus(Name="bank")
    with pytest.raises(ClientError):
        client.delete_event_bus(Name="default")


def test_entries_fail_one_by_one(client: Any) -> None:
    entries = [
        ENTRY,
        {name: text for name, text in ENTRY.items() if name != "Source"},
        {name: text for name, text in ENTRY.items() if name != "DetailType"},
        {name: text for name, text in ENTRY.items() if name != "Detail"},
        {**ENTRY, "Detail": "{not json"},
    ]
    answer = client.put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 4
    codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
    assert codes == [None, "InvalidArgument", "InvalidArgument", "InvalidArgument", "MalformedDetail"]
    assert "EventId" in answer["Entries"][0]


def test_ten_entries_at_most(client: Any) -> None:
    assert client.put_events(Entries=[ENTRY] * 10)["FailedEntryCount"] == 0
    with pytest.raises(ClientError) as caught:
        client.put_events(Entries=[ENTRY] * 11)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_rules_are_kept(client: Any, refused: Any) -> None:
    pattern = json.dumps({"source": ["bank.obr"]})
    client.create_event_bus(Name="bank")
    arn = client.put_rule(Name="all", EventBusName="bank", EventPattern=pattern)["RuleArn"]
    assert arn.endswith(":rule/bank/all")
    rules = client.list_rules(EventBusName="bank")["Rules"]
    assert [(rule["Name"], rule["State"], rule["EventPattern"]) for rule in rules] == [("all", "ENABLED", pattern)]
    with refused(client, "InvalidEventPatternException"):
        client.put_rule(Name="bad", EventBusName="bank", EventPattern="{")
    client.delete_rule(Name="all", EventBusName="bank")
    assert client.list_rules(EventBusName="bank")["Rules"] == []


def test_a_request_of_more_than_256_kib_is_refused(local: Any) -> None:
    client = local.client("events")
    large = {**ENTRY, "Detail": json.dumps({"x": "y" * (256 * 1024)})}
    with pytest.raises(ClientError, match="Total size"):
        client.put_events(Entries=[large])
    assert arrived(local)["events"] == []


def test_what_arrived_can_be_read_in_order_and_continued(local: Any) -> None:
    client = local.client("events")
    client.create_event_bus(Name="bank")
    bus_arn = client.describe_event_bus(Name="bank")["Arn"]
    sent = [
        client.put_events(Entries=[{**ENTRY, "EventBusName": bus, "Resources": ["r"]}])["Entries"][0]["EventId"]
        for bus in ("bank", bus_arn, "bank")
    ]
    first = arrived(local, "?bus=bank&limit=2")
    rest = arrived(local, f"?bus=bank&after={first['next_after']}")
    assert [event["id"] for event in first["events"] + rest["events"]] == sent
    event = first["events"][0]
    assert (event["source"], event["detail_type"]) == ("bank.obr", "OBR_ACTIVATED")
    assert event["detail"] == {"haircut": "0.2500"}
    assert event["resources"] == ["r"]
    assert event["dropped"] is False
    assert (event["account"], event["region"]) == ("000000000000", "ap-southeast-2")
    assert arrived(local)["events"] == []


def test_an_unknown_bus_answers_well_and_drops_the_event_as_aws_does(local: Any) -> None:
    answer = local.client("events").put_events(Entries=[{**ENTRY, "EventBusName": "absent"}])
    assert answer["FailedEntryCount"] == 0
    assert [event["dropped"] for event in arrived(local, "?bus=absent")["events"]] == [True]


def test_aws_sources_and_buses_with_rules_are_refused(local: Any) -> None:
    client = local.client("events")
    answer = client.put_events(Entries=[{**ENTRY, "Source": "aws.ec2"}])
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"
    client.create_event_bus(Name="bank")
    client.put_rule(Name="all", EventBusName="bank", EventPattern="{}")
    with pytest.raises(ClientError, match="rules"):
        client.delete_event_bus(Name="bank")


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [("?after=x", {}, 400), ("?limit=0", {}, 400), ("", {"Host": "evil.example"}, 403)],
)
def test_strange_readers_are_refused(local: Any, query: str, headers: dict[str, str], status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        arrived(local, query, headers)
    caught.value.close()
    assert caught.value.code == status
