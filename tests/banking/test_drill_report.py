"""The report of a drill: what its document says, and that the page says the same and loads nothing."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID

import pytest
import rfc8785
from jsonschema import Draft202012Validator

from neonctl.banking.drills.page import check_page, page, report_name
from neonctl.banking.drills.report import DepositorView, Drill, Parameters, Phase, Probe, Proof, RealKeys, Sums, Target
from neonctl.errors import NeonctlError

ACCOUNT = UUID("0190c8a2-6c1e-7b3a-9d54-3f1f0a6b2c47")
STARTED = datetime(2026, 11, 27, 21, 0, 3, tzinfo=UTC)


def sample(*, held: bool = True, **changes: object) -> Drill:
    """One that passed, or whose gate let a cent through and that left an account behind."""
    facts: dict[str, object] = {
        "drill_id": UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        "target": Target("prod", "bank_core", "drill-prod-1a2b3c4d", "pre_positioned", "017", "0.25"),
        "parameters": Parameters(Decimal("0.25"), Decimal("500.00"), Decimal(10), "recorded", "two officers"),
        "started_at": STARTED,
        "ended_at": STARTED + timedelta(seconds=54),
        "actor": "arn:aws:sts::111122223333:assumed-role/drill/ci",
        "trace_id": "4f1c9a",
        "program": "neonctl 0.1.0",
        "rounding": ["Available is the rest."],
        "phases": [Phase("activate", "Activation", 2710, 21_000), Phase("unwind", "Unwind", 35_400, 17_000)],
        "activation_parts": {"partition": 4100, "holders_evidence": 900},
        "sums": [Sums("NZD", 990_000, 20_000, 12, Decimal("-4.50"), Decimal("1234567.89"), Decimal("0.01"))],
        "proofs": [
            Proof("sums", "Frozen and available add up", True, "990,000 accounts"),
            Proof("nothing_left", "Nothing remained", held, "1 account", () if held else (ACCOUNT,)),
        ],
        "probes": [
            Probe("beyond", "One cent more", "OBR_FROZEN_BALANCE", "OBR_FROZEN_BALANCE" if held else "posted", held),
            Probe("notice", "Under notice", "posted", "no such account", None),
        ],
        "depositors": DepositorView(
            Decimal(100_000),
            "recorded",
            3,
            2,
            1,
            *(Decimal(n) for n in (150_000, 120_000, 30_000, 40_000, 32_000, 8_000)),
        ),
        "real_keys": RealKeys(3, 1, STARTED + timedelta(days=90), 30, ()),
    }
    return Drill(**{**facts, **changes})  # pyright: ignore[reportArgumentType]


class Words(HTMLParser):
    """The text of a page, and what each element refers to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.refers: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.refers += [(tag, value) for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def shown(drill) -> Words:
    return Words(page(drill.document(), sha256="ab" * 32, key_id="a-key"))


def test_the_document_says_whether_everything_held():
    assert sample().document()["outcome"] == "passed"
    failed = sample(held=False).document()
    assert failed["outcome"] == "failed"
    assert failed["proofs"][1]["accounts"] == [str(ACCOUNT)]
    assert sample(failure=("OBR_STATE_TABLE_EMPTY", "no row")).document()["outcome"] == "failed"
    assert sample(proofs=()).document()["outcome"] == "failed", "nothing shown is nothing proven"


def test_the_document_has_one_canonical_form_with_amounts_as_text():
    document = sample().document()
    assert document["sums"][0]["balance"] == "-4.50"
    assert document["parameters"]["haircut"] == "0.2500"
    assert document["depositor_compensation"]["protected_limit"] == "100000.00"
    assert b"1234567.89" in rfc8785.dumps(document)


@pytest.mark.parametrize(
    "drill", [sample(), sample(held=False), sample(failure=("X", "y"), depositors=None, real_keys=None)]
)
def test_the_document_is_what_its_schema_says(drill):
    schema = json.loads((Path(__file__).parents[2] / "schema" / "obr-drill.schema.json").read_text())
    Draft202012Validator(schema).validate(drill.document())
    assert not Draft202012Validator(schema).is_valid({**drill.document(), "account": "somebody's"})


def test_accounts_are_named_only_where_something_is_wrong_and_never_many():
    assert str(ACCOUNT) not in str(sample().document())
    many = sample(proofs=[Proof("x", "y", False, "z", [ACCOUNT] * 5000)])
    assert len(many.document()["proofs"][0]["accounts"]) == 10


def test_the_page_says_what_the_document_says_and_loads_nothing():
    seen = shown(sample())
    assert seen.refers == []
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(seen.tags)
    for words in (
        "Passed.",
        "25 %",
        "990,000",
        "1,234,567.89",
        "21.0 s",
        "not tried",
        "OBR_FROZEN_BALANCE",
        "120,000.00",
    ):
        assert words in seen.text, words
    html = page(sample().document(), sha256="s", key_id="k")
    assert "url(" not in html
    assert "@import" not in html


def test_a_failure_is_the_first_thing_on_the_page():
    seen = shown(sample(held=False))
    assert "Failed. 2 of 3 statements did not hold: Nothing remained; One cent more." in seen.text
    assert str(ACCOUNT) in seen.text
    stopped = shown(sample(failure=("OBR_STATE_TABLE_EMPTY", "the <state> is missing"), phases=(), sums=(), probes=()))
    assert "The drill was stopped: the <state> is missing ( OBR_STATE_TABLE_EMPTY )." in stopped.text


def test_the_page_says_whether_the_environments_own_keys_would_do():
    ready = shown(sample())
    assert "3 officers and 1 keys of the regulator were registered and valid, the first until 2027-02-25" in ready.text
    assert "Nothing about them is in the way within 30 days." in ready.text
    lacking = shown(sample(real_keys=RealKeys(1, 0, None, 30, ("1 of 2 officers have a <valid> key",))))
    assert "Its own keys are not ready for the day: see below." in lacking.text
    assert "1 of 2 officers have a <valid> key" in lacking.text


@pytest.mark.parametrize("field", ["environment", "branch", "schema_version"])
def test_what_others_named_is_text_on_the_page(field):
    facts = {**vars(sample().target), field: "<script>x</script>&\"'"}
    seen = shown(sample(target=Target(**facts), actor="<b>me</b>", notes=["<i>note</i>"]))
    assert "script" not in seen.tags
    assert "i" not in seen.tags
    assert "<script>x</script>&\"'" in seen.text


def test_amounts_are_read_as_decimals():
    view = sample().depositors
    big = DepositorView(**{**vars(view), "deposits": Decimal("9999999999999999.99")})
    assert "9,999,999,999,999,999.99" in shown(sample(depositors=big)).text


def test_a_page_is_held_against_its_report():
    report = sample().document()
    html = page(report, sha256="s", key_id="k")
    check_page(html, report, sha256="s", key_id="k", name="x.html")
    for other in (html.replace("Passed.", "Failed."), html + " ", page(report, sha256="t", key_id="k")):
        with pytest.raises(NeonctlError) as refused:
            check_page(other, report, sha256="s", key_id="k", name="x.html")
        assert refused.value.code == "REPORT_PAGE_ALTERED"
    assert report_name(report) == "obr-drill-prod-20261127T210057Z"
    assert report_name(report) in html
