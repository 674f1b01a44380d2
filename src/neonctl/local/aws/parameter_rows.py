"""Parameters and their versions as rows: finding by selector, sealing, showing."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3

    from neonctl.local.aws.call import Call

_JOINED = (
    "SELECT parameter.arn, parameter.type, parameter.latest, parameter_version.*"
    " FROM parameter JOIN parameter_version USING (name)"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """``name``, ``name:3`` or ``name:label``, or the same behind an ARN."""

    name: str
    selector: str | None

    @classmethod
    def parse(cls, call: Call, text: str) -> Reference:
        """Split a reference. Names hold no colon, so what follows one is the selector."""
        text, before = text.strip(), ""
        if text.startswith("arn:"):
            *parts, text = text.split(":", 5)
            before = ":".join(parts) + ":"
        name, colon, selector = text.partition(":")
        if before:
            # "x" and "/x" have one ARN, in AWS too; it then means the name without the slash.
            sql = "SELECT name FROM parameter WHERE arn = ? ORDER BY name DESC"
            row = call.db.execute(sql, (before + name,)).fetchone()
            name = before + name if row is None else str(row["name"])
        return cls(name, selector if colon else None)


def lookup(call: Call, name: str) -> sqlite3.Row | None:
    """The latest version of a parameter, with the parameter's own columns."""
    row: sqlite3.Row | None = call.db.execute(f"{_JOINED} WHERE name = ? AND version = latest", (name,)).fetchone()
    return row


def latest(call: Call) -> list[sqlite3.Row]:
    """The latest version of every parameter."""
    return call.db.execute(f"{_JOINED} WHERE version = latest").fetchall()


def history(call: Call, name: str) -> list[sqlite3.Row]:
    """All versions that are kept."""
    return call.db.execute(f"{_JOINED} WHERE name = ?", (name,)).fetchall()


def find(call: Call, text: str) -> tuple[sqlite3.Row, Reference]:
    """What a reference names. Raises AwsError(ParameterNotFound | ParameterVersionNotFound)."""
    reference = Reference.parse(call, text)
    row = lookup(call, reference.name)
    if row is None:
        raise not_found(reference.name)
    if reference.selector is None:
        return row, reference
    selector = reference.selector
    if selector.isdecimal():
        version: int | None = int(selector)
        what = f"version {selector}"
    else:
        labelled = call.db.execute(
            "SELECT version FROM parameter_label WHERE name = ? AND label = ?", (reference.name, selector)
        ).fetchone()
        version = None if labelled is None else int(labelled["version"])
        what = f"label {selector}"
    wanted: sqlite3.Row | None = call.db.execute(
        f"{_JOINED} WHERE name = ? AND version = ?", (reference.name, version)
    ).fetchone()
    if wanted is None:
        raise AwsError(
            "ParameterVersionNotFound",
            f"Systems Manager could not find {what} of {reference.name}. Verify the {what.split()[0]} and try again.",
        )
    return wanted, reference


def not_found(name: str) -> AwsError:
    """AWS's "not found", with the name that it leaves out."""
    return AwsError("ParameterNotFound", f"Parameter {name} not found.")


def arn(call: Call, name: str) -> str:
    """A qualified name brings its own slash."""
    return call.arn("ssm", f"parameter{name}" if name.startswith("/") else f"parameter/{name}")


def seal(call: Call, name: str, version: int, value: str) -> bytes:
    """All values are sealed, whatever their type."""
    return call.sealer.seal(_place(name, version), value.encode())


def value(call: Call, row: sqlite3.Row, *, decrypt: bool) -> str:
    """A SecureString that is not to be decrypted shows its ciphertext, as in AWS."""
    if row["type"] == "SecureString" and not decrypt:
        return base64.b64encode(row["sealed"]).decode()
    return call.sealer.open(_place(row["name"], row["version"]), row["sealed"]).decode()


def labels(call: Call, name: str, version: int) -> list[str]:
    """The labels of one version, sorted."""
    rows = call.db.execute(
        "SELECT label FROM parameter_label WHERE name = ? AND version = ? ORDER BY label", (name, version)
    )
    return [str(row["label"]) for row in rows]


def shown(call: Call, row: sqlite3.Row, reference: Reference | None = None, *, decrypt: bool) -> dict[str, Any]:
    """A parameter as GetParameter shows it."""
    return {
        "Name": row["name"],
        "Type": row["type"],
        "Value": value(call, row, decrypt=decrypt),
        "Version": row["version"],
        "LastModifiedDate": row["modified_at"],
        "ARN": row["arn"],
        "DataType": row["data_type"],
        **({"Selector": f":{reference.selector}"} if reference is not None and reference.selector else {}),
    }


def metadata(row: sqlite3.Row) -> dict[str, Any]:
    """What DescribeParameters and GetParameterHistory have in common."""
    optional = {
        "KeyId": row["key_id"],
        "Description": row["description"],
        "AllowedPattern": row["allowed_pattern"],
    }
    return {
        "Name": row["name"],
        "Type": row["type"],
        "LastModifiedDate": row["modified_at"],
        "LastModifiedUser": row["modified_by"],
        "Version": row["version"],
        "Tier": row["tier"],
        "Policies": [],
        "DataType": row["data_type"],
        **{name: text for name, text in optional.items() if text is not None},
    }


def _place(name: str, version: int) -> str:
    return f"parameter:{name}:{version}"
