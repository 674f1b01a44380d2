"""Amounts, moments and durations: what is one, and what only looks like one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neonctl.banking.moments import parse_date, parse_duration, parse_moment, show_moment
from neonctl.banking.money import LIMIT, check_amount, parse_amount, show
from neonctl.banking.statement import parse_id
from neonctl.errors import UsageError

CENTS = st.integers(1, int(LIMIT) * 100 - 1)


@given(CENTS)
def test_every_amount_survives_text(cents):
    amount = Decimal(cents).scaleb(-2)
    assert parse_amount(show(amount)) == amount
    assert show(parse_amount(show(amount))) == show(amount)


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_an_amount_is_positive_and_whole_in_cents_or_refused(value):
    good = value.is_finite() and 0 < value < LIMIT and (value * 100) % 1 == 0 if value.is_finite() else False
    if good:
        assert check_amount(value) == value
        assert check_amount(value).as_tuple().exponent == -2
    else:
        with pytest.raises(UsageError):
            check_amount(value)


@given(st.text())
def test_text_is_an_amount_only_when_it_reads_like_one(text):
    try:
        amount = parse_amount(text, zero=True)
    except UsageError as error:
        assert error.code == "AMOUNT_INVALID"
    else:
        assert text.isascii()
        assert Decimal(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 1",
        "1 ",
        "+1",
        "-1",
        "-0",
        "-0.00",
        "0",
        "0.00",
        "1e30",
        "1E2",
        "NaN",
        "nan",
        "Infinity",
        "1,00",
        "1_000",
        ".5",
        "5.",
        "0.001",
        "12.345",
        "007",
        "\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT TWO}",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "1\n",
        "10000000000000000",
        "0x10",
        "12.3\x00",
    ],
)
def test_what_is_no_amount(text):
    with pytest.raises(UsageError):
        parse_amount(text)


@pytest.mark.parametrize(
    "value", [1.0, 0.1, True, "1.00", None, Decimal("-0"), Decimal("sNaN"), Decimal("1e30"), Decimal("0.001")]
)
def test_what_is_no_amount_in_python(value):
    with pytest.raises(UsageError):
        check_amount(value)


def test_zero_is_a_limit_but_no_amount():
    assert show(parse_amount("0", zero=True)) == "0.00"
    with pytest.raises(UsageError):
        check_amount(Decimal("-0.00"), zero=True)


def test_moments_know_their_offset():
    assert parse_moment("2026-11-20T13:00:00+13:00") == datetime(2026, 11, 20, tzinfo=UTC)
    assert parse_moment("2026-11-20T00:00:00.5Z").microsecond == 500_000
    assert show_moment(parse_moment("2026-11-20t00:00:00z")) == "2026-11-20T00:00:00.000000Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20",
        "2026-11-20T00:00:00",
        "2016-12-31T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "now",
        "",
        "\N{FULLWIDTH DIGIT TWO}026-11-20T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "2026-11-20T25:00:00Z",
        "1763596800",
    ],
)
def test_what_is_no_moment(text):
    with pytest.raises(UsageError) as caught:
        parse_moment(text)
    assert caught.value.code == "MOMENT_INVALID"


def test_a_moment_without_an_offset_is_never_shown():
    with pytest.raises(ValueError):
        show_moment(datetime(2026, 11, 20))  # noqa: DTZ001


def test_durations_and_dates():
    assert [parse_duration(text) for text in ("90s", "15m", "24h", "7d")] == [
        timedelta(seconds=90),
        timedelta(minutes=15),
        timedelta(hours=24),
        timedelta(days=7),
    ]
    for text in ("0h", "24", "-1h", "1.5h", "1w", "", "24H", "99999999d"):
        with pytest.raises(UsageError):
            parse_duration(text)
    assert parse_date("2028-02-29").day == 29
    for text in ("2027-02-29", "20270101", "tomorrow"):
        with pytest.raises(UsageError):
            parse_date(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "{01a1fc82-f7d1-7b72-81d7-84ccb17d5982}",
        "01a1fc82f7d17b7281d784ccb17d5982",
        "urn:uuid:01a1fc82-f7d1-7b72-81d7-84ccb17d5982",
        "\N{FULLWIDTH DIGIT ZERO}1a1fc82-f7d1-7b72-81d7-84ccb17d5982",
        "01\N{CYRILLIC SMALL LETTER A}1fc82-f7d1-7b72-81d7-84ccb17d5982",
        "01a1fc82-f7d1-7b72-81d7-84ccb17d598l",
    ],
)
def test_what_only_looks_like_an_id(text):
    with pytest.raises(UsageError) as caught:
        parse_id(text, "an account")
    assert caught.value.code == "ID_INVALID"
