"""One AWS call as its operation sees it: typed parameters, the transaction and where it runs."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from neonctl.local.aws.keyring import Caller
    from neonctl.local.aws.sealing import Sealer

Answer: TypeAlias = "dict[str, Any] | None"
Operation: TypeAlias = "Callable[[Call], Answer]"


def _wrong_type(name: str) -> AwsError:
    return AwsError("SerializationException", f"{name} has the wrong type")


def invalid(message: str) -> AwsError:
    """AWS's general word for input that no rule of the service covers."""
    return AwsError("ValidationException", message)


class Params:
    """The request's JSON, read by name. Wrong types are a SerializationException, missing ones that are
    required a ValidationException; an explicit null counts as missing.
    """

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def find(self, name: str) -> str | None:
        """A string, or None when it is not given."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, str):
            raise _wrong_type(name)
        return value

    def text(self, name: str) -> str:
        """A string that must be given and not be empty."""
        value = self.find(name)
        if not value:
            member = name[:1].lower() + name[1:]
            raise invalid(
                f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
                "Member must not be null or empty"
            )
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean."""
        value = self._fields.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise _wrong_type(name)
        return value

    def number(self, name: str) -> int | None:
        """An integer, or None when it is not given."""
        value = self._fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(name)
        return value

    def bounded(self, name: str, default: int, low: int, high: int) -> int:
        """An integer between two bounds, both allowed."""
        value = self.number(name)
        if value is None:
            return default
        if not low <= value <= high:
            raise invalid(f"{name} must be between {low} and {high}")
        return value

    def moment(self, name: str) -> float | None:
        """Seconds since the epoch."""
        value = self._fields.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise _wrong_type(name)
        return float(value)

    def blob(self, name: str) -> bytes | None:
        """Bytes, which the protocol carries as base64."""
        value = self.find(name)
        if value is None:
            return None
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise _wrong_type(name) from None

    def texts(self, name: str) -> list[str]:
        """A list of strings, empty when it is not given."""
        items = self._list(name)
        if not all(isinstance(item, str) for item in items):
            raise _wrong_type(name)
        return cast("list[str]", items)

    def items(self, name: str) -> list[Params]:
        """A list of structures, empty when it is not given."""
        items = self._list(name)
        if not all(isinstance(item, dict) for item in items):
            raise _wrong_type(name)
        return [Params(cast("dict[str, object]", item)) for item in items]

    def pairs(self, name: str) -> dict[str, str]:
        """``[{"Key": …, "Value": …}]`` as a mapping (tags)."""
        return {item.text("Key"): item.find("Value") or "" for item in self.items(name)}

    def _list(self, name: str) -> list[object]:
        value = self._fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise _wrong_type(name)
        return cast("list[object]", value)


def parse(body: bytes) -> Params:
    """The JSON body of a call. Raises AwsError(SerializationException)."""
    try:
        fields: object = json.loads(body or b"{}")
    except ValueError:
        raise AwsError("SerializationException", "The request body is not JSON") from None
    if not isinstance(fields, dict):
        raise AwsError("SerializationException", "The request body is not a JSON object")
    return Params(cast("dict[str, object]", fields))


@dataclass(frozen=True, slots=True)
class Call:
    """What an operation gets. Everything it changes through ``db`` is committed together or not at all."""

    params: Params
    db: sqlite3.Connection
    sealer: Sealer
    now: float
    caller: Caller
    region: str

    @property
    def account_id(self) -> str:
        """The caller's account: what is made is of it."""
        return self.caller.account_id

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource that this caller makes, in the region that the call is signed for."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"
