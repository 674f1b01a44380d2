"""EventBridge: buses, rules as records, and events that stay to be looked at.

Nothing is delivered to targets. What arrived is read back through ``arrived`` (``GET /_local/events``). A bus
is found by its name, also in an ARN: whichever account and region it names, there is one store.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from neonctl.local.aws.call import invalid
from neonctl.local.aws.paging import page
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from neonctl.local.aws.call import Answer, Call, Operation, Params
    from neonctl.local.aws.store import Transaction

_MOST_ENTRIES = 10
_LARGEST_REQUEST = 256 * 1024
_NAME = re.compile(r"[.\-_A-Za-z0-9/]{1,256}")


def _bus_name(given: str | None) -> str:
    name = given or "default"
    return name.rpartition(":event-bus/")[2] if name.startswith("arn:") else name


def _find_bus(call: Call, name: str) -> sqlite3.Row:
    row: sqlite3.Row | None = call.db.execute("SELECT * FROM event_bus WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise AwsError("ResourceNotFoundException", f"Event bus {name} does not exist.")
    return row


def _bus_arn(call: Call, row: sqlite3.Row) -> str:
    return row["arn"] or call.arn("events", f"event-bus/{row['name']}")


def _shown_bus(call: Call, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "Name": row["name"],
        "Arn": _bus_arn(call, row),
        **({"Description": row["description"]} if row["description"] else {}),
        "CreationTime": row["created_at"],
        "LastModifiedTime": row["modified_at"],
    }


def _create_bus(call: Call) -> Answer:
    name = call.params.text("Name")
    if not _NAME.fullmatch(name) or "/" in name:
        raise invalid(f"{name} is not a valid name of an event bus.")
    if call.db.execute("SELECT 1 FROM event_bus WHERE name = ?", (name,)).fetchone() is not None:
        raise AwsError("ResourceAlreadyExistsException", f"Event bus {name} already exists.")
    arn = call.arn("events", f"event-bus/{name}")
    call.db.execute(
        "INSERT INTO event_bus VALUES (?, ?, ?, ?, ?)",
        (name, arn, call.params.find("Description"), call.now, call.now),
    )
    return {"EventBusArn": arn}


def _describe_bus(call: Call) -> Answer:
    return _shown_bus(call, _find_bus(call, _bus_name(call.params.find("Name"))))


def _list_buses(call: Call) -> Answer:
    prefix = call.params.find("NamePrefix") or ""
    rows: list[sqlite3.Row] = call.db.execute("SELECT * FROM event_bus").fetchall()
    taken, token = page(
        [row for row in rows if row["name"].startswith(prefix)],
        key=lambda row: (row["name"],),
        limit=call.params.bounded("Limit", 100, 1, 100),
        token=call.params.find("NextToken"),
        refusal="ValidationException",
    )
    return {"EventBuses": [_shown_bus(call, row) for row in taken], **({"NextToken": token} if token else {})}


def _delete_bus(call: Call) -> Answer:
    """A bus that is not there is no error; one with rules, and the default one, stay."""
    name = _bus_name(call.params.text("Name"))
    if name == "default":
        raise invalid("Cannot delete event bus default.")
    if call.db.execute("SELECT 1 FROM event_rule WHERE bus = ?", (name,)).fetchone() is not None:
        raise invalid(f"Event bus {name} can't be deleted since it has rules.")
    call.db.execute("DELETE FROM event_bus WHERE name = ?", (name,))
    return None


def _put_rule(call: Call) -> Answer:
    params, found = call.params, _find_bus(call, _bus_name(call.params.find("EventBusName")))
    bus: str = found["name"]
    name, pattern, schedule = (
        params.text("Name"),
        params.find("EventPattern"),
        params.find("ScheduleExpression"),
    )
    if not pattern and not schedule:
        raise invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if schedule and bus != "default":
        raise invalid("ScheduleExpression is supported only on the default event bus.")
    if pattern and not _is_object(pattern):
        raise AwsError("InvalidEventPatternException", "Event pattern is not valid. Reason: it is not a JSON object")
    state = params.find("State") or "ENABLED"
    if state not in {"ENABLED", "DISABLED"}:
        raise invalid(f"{state} is not a state of a rule.")
    call.db.execute(
        "INSERT OR REPLACE INTO event_rule VALUES (?, ?, ?, ?, ?, ?, ?)",
        (bus, name, pattern, schedule, state, params.find("Description"), params.find("RoleArn")),
    )
    return {"RuleArn": _rule_arn(call, found, name)}


def _rule_arn(call: Call, bus: sqlite3.Row, name: str) -> str:
    """A rule is of its bus's account and region."""
    where = _bus_arn(call, bus).rpartition("event-bus/")[0]
    return f"{where}rule/{name}" if bus["name"] == "default" else f"{where}rule/{bus['name']}/{name}"


def _shown_rule(call: Call, bus: sqlite3.Row, row: sqlite3.Row) -> dict[str, Any]:
    optional = {
        "EventPattern": row["pattern"],
        "ScheduleExpression": row["schedule"],
        "Description": row["description"],
        "RoleArn": row["role_arn"],
    }
    return {
        "Name": row["name"],
        "Arn": _rule_arn(call, bus, row["name"]),
        "State": row["state"],
        "EventBusName": row["bus"],
        **{name: value for name, value in optional.items() if value is not None},
    }


def _list_rules(call: Call) -> Answer:
    prefix = call.params.find("NamePrefix") or ""
    bus = _find_bus(call, _bus_name(call.params.find("EventBusName")))
    rows: list[sqlite3.Row] = call.db.execute("SELECT * FROM event_rule WHERE bus = ?", (bus["name"],)).fetchall()
    taken, token = page(
        [row for row in rows if row["name"].startswith(prefix)],
        key=lambda row: (row["name"],),
        limit=call.params.bounded("Limit", 100, 1, 100),
        token=call.params.find("NextToken"),
        refusal="ValidationException",
    )
    return {"Rules": [_shown_rule(call, bus, row) for row in taken], **({"NextToken": token} if token else {})}


def _describe_rule(call: Call) -> Answer:
    bus, name = _find_bus(call, _bus_name(call.params.find("EventBusName"))), call.params.text("Name")
    row: sqlite3.Row | None = call.db.execute(
        "SELECT * FROM event_rule WHERE bus = ? AND name = ?", (bus["name"], name)
    ).fetchone()
    if row is None:
        raise AwsError("ResourceNotFoundException", f"Rule {name} does not exist on EventBus {bus['name']}.")
    return _shown_rule(call, bus, row)


def _delete_rule(call: Call) -> Answer:
    bus = _bus_name(call.params.find("EventBusName"))
    _find_bus(call, bus)
    call.db.execute("DELETE FROM event_rule WHERE bus = ? AND name = ?", (bus, call.params.text("Name")))
    return None


def _put_events(call: Call) -> Answer:
    """Entries succeed and fail one by one; the request as a whole only for its number and size."""
    entries = call.params.items("Entries")
    if not 1 <= len(entries) <= _MOST_ENTRIES:
        raise invalid(
            "1 validation error detected: Value at 'entries' failed to satisfy constraint: "
            f"Member must have length between 1 and {_MOST_ENTRIES}"
        )
    if sum(_size(entry) for entry in entries) > _LARGEST_REQUEST:
        raise invalid("Total size of the entries in the request is over the limit.")
    results = [_put_event(call, entry) for entry in entries]
    return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}


def _size(entry: Params) -> int:
    """AWS's own count: 14 bytes for a time, and the UTF-8 length of the texts."""
    texts = [entry.find(name) or "" for name in ("Source", "DetailType", "Detail")] + entry.texts("Resources")
    return (14 if "Time" in entry else 0) + sum(len(text.encode()) for text in texts)


def _put_event(call: Call, entry: Params) -> dict[str, Any]:
    refusal = _refusal(entry)
    if refusal is not None:
        return {"ErrorCode": refusal.code, "ErrorMessage": refusal.message}
    event_id, bus = str(uuid.uuid4()), _bus_name(entry.find("EventBusName"))
    # AWS answers with success for a bus that does not exist and drops the event; so do we, but keep a record.
    known = call.db.execute("SELECT 1 FROM event_bus WHERE name = ?", (bus,)).fetchone() is not None
    time = entry.moment("Time")
    call.db.execute(
        "INSERT INTO event (id, bus, account, region, dropped, source, detail_type, detail, resources, time,"
        " received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event_id,
            bus,
            call.account_id,
            call.region,
            int(not known),
            entry.text("Source"),
            entry.text("DetailType"),
            entry.text("Detail"),
            json.dumps(entry.texts("Resources")),
            call.now if time is None else time,
            call.now,
        ),
    )
    return {"EventId": event_id}


def _refusal(entry: Params) -> AwsError | None:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.find(name):
            return AwsError("InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument.")
    if entry.text("Source").startswith("aws."):
        return AwsError("NotAuthorizedForSourceException", "Not authorized for the source.")
    if not _is_object(entry.text("Detail")):
        return AwsError("MalformedDetail", "Detail is malformed.")
    return None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def arrived(transaction: Transaction, *, bus: str, after: int, limit: int) -> dict[str, Any]:
    """Events of ``bus`` with a sequence above ``after``, oldest first; ``dropped`` where AWS would have lost
    them because the bus did not exist. ``next_after`` continues the reading.
    """
    rows: list[sqlite3.Row] = transaction.db.execute(
        "SELECT * FROM event WHERE bus = ? AND sequence > ? ORDER BY sequence LIMIT ?", (bus, after, limit)
    ).fetchall()
    shown = [
        {
            "sequence": row["sequence"],
            "id": row["id"],
            "bus": row["bus"],
            "account": row["account"],
            "region": row["region"],
            "dropped": bool(row["dropped"]),
            "source": row["source"],
            "detail_type": row["detail_type"],
            "detail": json.loads(row["detail"]),
            "resources": json.loads(row["resources"]),
            "time": _rfc3339(row["time"]),
            "received_at": _rfc3339(row["received_at"]),
        }
        for row in rows
    ]
    return {"events": shown, "next_after": rows[-1]["sequence"] if rows else after}


def _rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "CreateEventBus": _create_bus,
        "DeleteEventBus": _delete_bus,
        "DeleteRule": _delete_rule,
        "DescribeEventBus": _describe_bus,
        "DescribeRule": _describe_rule,
        "ListEventBuses": _list_buses,
        "ListRules": _list_rules,
        "PutEvents": _put_events,
        "PutRule": _put_rule,
    }
)
