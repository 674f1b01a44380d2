"""``frozen`` is a frozen dataclass in everything that is used of one."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neonctl.frozen import filling, frozen


@frozen
class Place:
    name: str
    size: int = 1
    tags: dict[str, str] = field(default_factory=dict[str, str])
    key: str = field(default="k", repr=False)
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Spot:
    name: str
    size: int


@frozen(kw_only=True)
class Base:
    reason: str = ""


@frozen(kw_only=True)
class Named(Base):
    name: str

    @property
    def shown(self) -> str:
        return f"{self.name}: {self.reason}"


@given(st.text(), st.integers(), st.dictionaries(st.text(), st.text()))
def test_an_object_is_what_it_was_made_of(name: str, size: int, tags: dict[str, str]) -> None:
    place = Place(name, size, tags=tags)
    assert (place.name, place.size, place.tags, place.key) == (name, size, tags, "k")
    assert asdict(place) == {"name": name, "size": size, "tags": tags, "key": "k", "note": ""}
    assert place == Place(name=name, size=size, tags=tags) == copy.copy(place) == pickle.loads(pickle.dumps(place))
    assert place != replace(place, size=size + 1)
    assert repr(place) == f"Place(name={name!r}, size={size!r}, tags={tags!r}, note='')"


def test_a_default_that_is_made_is_nobody_elses() -> None:
    assert Place("a").tags is not Place("b").tags


def test_what_does_not_count_is_not_compared() -> None:
    assert Named(name="a", reason="b") == Named(name="a", reason="b") != Named(name="a")
    assert Place("a", note="x") == Place("a", note="y")
    assert Base() != Named(name="")
    assert len({Base(), Base(), Base(reason="b")}) == 2


def test_nothing_can_be_changed() -> None:
    place = Place("a")
    with pytest.raises(FrozenInstanceError):
        place.name = "b"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FrozenInstanceError):
        del place.name
    with pytest.raises(FrozenInstanceError):
        place.other = 1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("args", "given_by_name"),
    [((), {}), (("a",), {"name": "b"}), (("a", 1, {}, "k", "", "more"), {}), (("a",), {"colour": "red"})],
)
def test_wrong_arguments_are_refused(args: tuple[object, ...], given_by_name: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Place(*args, **given_by_name)


def test_keyword_only_is_keyword_only() -> None:
    assert Named(name="a", reason="b").shown == "a: b"
    with pytest.raises(TypeError):
        Named("a")  # pyright: ignore[reportCallIssue]


def test_it_can_be_taken_apart() -> None:
    match Place("a", 2):
        case Place(name, size):
            assert (name, size) == ("a", 2)
    assert [each.name for each in fields(Named)] == ["reason", "name"]


def test_what_was_filled_is_what_was_made() -> None:
    spot = filling(Spot)("a", size=1)
    assert type(spot) is Spot
    assert spot == Spot("a", 1) == pickle.loads(pickle.dumps(spot)) == replace(spot, size=1)
    with pytest.raises(FrozenInstanceError):
        spot.size = 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        filling(Spot)("a")  # pyright: ignore[reportCallIssue]
