"""SSM Parameter Store: reading one, several, by path, described and filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neonctl.local.aws import parameter_rows
from neonctl.local.aws.call import invalid
from neonctl.local.aws.paging import page
from neonctl.local.aws.tags import tags_of
from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from neonctl.local.aws.call import Answer, Call, Params

_BAD_TOKEN = "InvalidNextToken"  # noqa: S105 (the name of an error)
_MOST_NAMES = 10
_BY_PATH_KEYS = frozenset({"Type", "KeyId", "Label"})
_DESCRIBE_KEYS = frozenset({"Name", "Type", "KeyId", "Path", "Tier", "DataType"})


def get_one(call: Call) -> Answer:
    """GetParameter, with ``:version`` and ``:label`` selectors."""
    row, reference = parameter_rows.find(call, call.params.text("Name"))
    return {"Parameter": parameter_rows.shown(call, row, reference, decrypt=_decrypt(call))}


def get_many(call: Call) -> Answer:
    """GetParameters: what is not there is listed, not refused."""
    found: list[dict[str, Any]] = []
    unknown: list[str] = []
    for name in ten_names(call):
        try:
            row, reference = parameter_rows.find(call, name)
        except AwsError:
            unknown.append(name)
        else:
            found.append(parameter_rows.shown(call, row, reference, decrypt=_decrypt(call)))
    return {"Parameters": found, "InvalidParameters": unknown}


def ten_names(call: Call) -> list[str]:
    """One to ten different names. Raises AwsError(ValidationException)."""
    names = call.params.texts("Names")
    if not 1 <= len(names) <= _MOST_NAMES:
        raise invalid(
            "1 validation error detected: Value at 'names' failed to satisfy constraint: "
            f"Member must have length between 1 and {_MOST_NAMES}"
        )
    if len(set(names)) != len(names):
        raise invalid("The list of parameters has duplicates.")
    return names


def get_by_path(call: Call) -> Answer:
    """GetParametersByPath: one level, or all below with Recursive; ten to a page."""
    path = call.params.text("Path")
    if not path.startswith("/"):
        raise invalid(
            "The parameter doesn't meet the parameter name requirements. "
            'The parameter name must begin with a forward slash "/".'
        )
    rows = [row for row in parameter_rows.latest(call) if _under(row, path, recursive=call.params.flag("Recursive"))]
    rows = _filtered(call, rows, _BY_PATH_KEYS)
    taken, token = _page(call, rows, most=10, default=10)
    shown = [parameter_rows.shown(call, row, decrypt=_decrypt(call)) for row in taken]
    return {"Parameters": shown, **({"NextToken": token} if token else {})}


def describe(call: Call) -> Answer:
    """DescribeParameters: metadata only, never a value."""
    if call.params.items("Filters"):
        raise invalid("The embedded platform knows ParameterFilters; Filters is deprecated.")
    rows = _filtered(call, parameter_rows.latest(call), _DESCRIBE_KEYS)
    taken, token = _page(call, rows, most=50, default=50)
    shown = [{**parameter_rows.metadata(row), "ARN": row["arn"]} for row in taken]
    return {"Parameters": shown, **({"NextToken": token} if token else {})}


def get_history(call: Call) -> Answer:
    """GetParameterHistory: every version that is kept, oldest first."""
    name = parameter_rows.Reference.parse(call, call.params.text("Name")).name
    rows = parameter_rows.history(call, name)
    if not rows:
        raise parameter_rows.not_found(name)
    taken, token = page(
        rows,
        key=lambda row: (row["version"],),
        limit=call.params.bounded("MaxResults", 50, 1, 50),
        token=call.params.find("NextToken"),
        refusal=_BAD_TOKEN,
    )
    shown = [
        {
            **parameter_rows.metadata(row),
            "Value": parameter_rows.value(call, row, decrypt=_decrypt(call)),
            "Labels": parameter_rows.labels(call, name, row["version"]),
        }
        for row in taken
    ]
    return {"Parameters": shown, **({"NextToken": token} if token else {})}


def _decrypt(call: Call) -> bool:
    return call.params.flag("WithDecryption")


def _page(call: Call, rows: Sequence[sqlite3.Row], *, most: int, default: int) -> tuple[list[sqlite3.Row], str | None]:
    return page(
        rows,
        key=lambda row: (row["name"],),
        limit=call.params.bounded("MaxResults", default, 1, most),
        token=call.params.find("NextToken"),
        refusal=_BAD_TOKEN,
    )


def _under(row: sqlite3.Row, path: str, *, recursive: bool) -> bool:
    prefix = path if path.endswith("/") else f"{path}/"
    name: str = row["name"] if row["name"].startswith("/") else f"/{row['name']}"
    return name.startswith(prefix) and (recursive or "/" not in name.removeprefix(prefix))


def _filtered(call: Call, rows: list[sqlite3.Row], keys: frozenset[str]) -> list[sqlite3.Row]:
    for wanted in call.params.items("ParameterFilters"):
        key = wanted.text("Key")
        tag = key.startswith("tag:") and "Name" in keys
        if key not in keys and not tag:
            raise AwsError("InvalidFilterKey", f"{key} is not a valid filter key here.")
        rows = [row for row in rows if _matches(call, row, key, wanted)]
    return rows


def _matches(call: Call, row: sqlite3.Row, key: str, wanted: Params) -> bool:
    values, option = wanted.texts("Values"), wanted.find("Option")
    if key == "Path":
        if option not in {None, "OneLevel", "Recursive"}:
            raise AwsError("InvalidFilterOption", f"Path knows OneLevel and Recursive, not {option}.")
        return any(_under(row, value, recursive=option == "Recursive") for value in values)
    have = _attributes(call, row, key)
    if not values:
        # A tag's key alone: whoever has the tag.
        return bool(have)
    if option in {None, "Equals"}:
        return any(attribute in values for attribute in have)
    if option == "BeginsWith" and key != "Type":
        return any(attribute.startswith(value) for attribute in have for value in values)
    if option == "Contains" and key == "Name":
        return any(value in attribute for attribute in have for value in values)
    raise AwsError("InvalidFilterOption", f"{option} is not an option of the filter {key}.")


def _attributes(call: Call, row: sqlite3.Row, key: str) -> list[str]:
    if key.startswith("tag:"):
        tags = tags_of(call.db, "parameter", row["name"])
        name = key.removeprefix("tag:")
        return [tags[name]] if name in tags else []
    if key == "Label":
        return parameter_rows.labels(call, row["name"], row["version"])
    columns = {"Name": "name", "Type": "type", "KeyId": "key_id", "Tier": "tier", "DataType": "data_type"}
    attribute: str | None = row[columns[key]]
    return [] if attribute is None else [attribute]
