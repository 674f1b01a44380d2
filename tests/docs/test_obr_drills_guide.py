"""The guide for drills, as a reader follows it."""

from __future__ import annotations

import json

from .conftest import ROOT, follow

GUIDE = ROOT / "docs" / "guides" / "obr-drills.md"


def test_the_guide_works(provisioned):
    known = follow(GUIDE, provisioned.run)
    report = provisioned.folder / known["REPORT"]
    assert report.parent.name == "drills"
    assert report.name.startswith("obr-drill-prod-")
    assert report.with_suffix(".html").exists()
    assert json.loads(report.read_text())["document"]["outcome"] == "passed"
