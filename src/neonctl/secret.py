"""A value that must not be seen: it prints as dots, and ``reveal()`` is the only way out."""

from __future__ import annotations

from typing import NoReturn

MASK = "•••"


class Secret:
    """Holds a password, key or URI. Equality is allowed; printing, formatting and pickling are not."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself. Each use of this name is a place to review."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, format_spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def unannounced(*found: Secret) -> None:
    """For whoever need not hear of secrets before they are used."""
    del found
