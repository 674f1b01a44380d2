"""Frozen dataclasses that cost next to nothing to import.

``dataclass(frozen=True)`` writes six methods of every class as source and compiles them when the module is imported:
a third of a millisecond a class, which a command pays for dozens of classes of which it makes no object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, cast, dataclass_transform, overload

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
P = ParamSpec("P")


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field, Field))
def frozen(cls: type[T] | None = None, /, *, kw_only: bool = False) -> type[T] | Callable[[type[T]], type[T]]:
    """``dataclass(frozen=True)`` whose methods are the same functions for all classes.

    It is a dataclass to ``fields``, ``replace``, ``asdict`` and ``match``; there is no ``order``. Making an object
    takes about a microsecond longer.
    """

    def made(cls: type[T]) -> type[T]:
        plain: Any = dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(cls)
        plain.__init__ = _initialiser(plain)
        plain.__repr__, plain.__eq__, plain.__hash__ = _repr, _eq, _hash
        plain.__setattr__, plain.__delattr__ = _refuse_change, _refuse_removal
        return plain

    return made if cls is None else made(cls)


def filling(cls: Callable[P, T]) -> Callable[P, T]:
    """What makes objects of a frozen dataclass with slots, from its fields' values: for those read by the thousand.

    Its own ``__init__`` calls ``object.__setattr__`` for each field, which takes three times as long as what is done
    here: an object of an open class with the same slots is filled, and then becomes one of ``cls``.
    """
    kind = cast("type[DataclassInstance]", cls)
    opened = make_dataclass(kind.__name__, [each.name for each in fields(kind)], slots=True, repr=False, eq=False)

    def filled(*args: P.args, **kwargs: P.kwargs) -> T:
        made: Any = opened(*args, **kwargs)
        made.__class__ = cls
        return made

    return filled


def _initialiser(cls: type[DataclassInstance]) -> Callable[..., None]:
    declared = fields(cls)
    names = frozenset(each.name for each in declared)
    in_order = tuple(each.name for each in declared if not each.kw_only)
    defaults = {each.name: each.default for each in declared if each.default is not MISSING}
    factories = {each.name: each.default_factory for each in declared if each.default_factory is not MISSING}

    def __init__(self: object, /, *args: object, **given: object) -> None:
        values = dict(zip(in_order, args, strict=False))
        twice = values.keys() & given.keys()
        values = {**defaults, **values, **given}
        for name, make in factories.items():
            if name not in values:
                values[name] = make()
        if values.keys() != names or twice or len(args) > len(in_order):
            raise TypeError(
                f"{cls.__qualname__} takes {', '.join(in_order or sorted(names))}; given by name: {sorted(given)}"
            )
        self.__dict__.update(values)

    return __init__


def _repr(self: DataclassInstance) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _values(self: DataclassInstance) -> tuple[object, ...]:
    return tuple(getattr(self, each.name) for each in fields(self) if each.compare)


def _eq(self: DataclassInstance, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: DataclassInstance) -> int:
    return hash(_values(self))


def _refuse_change(self: object, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_removal(self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
