"""What a fault counts is known after a restart; one that counts nothing does not cost a file for every call."""

from __future__ import annotations

from pathlib import Path

import pytest

from neonctl.local.faults import Faults


@pytest.mark.parametrize("rule", [{"nth": 3}, {"every": 3}, {"count": 1}, {"probability": 0.5, "seed": 7}])
def test_a_rule_that_counts_goes_on_where_it_was(tmp_path: Path, rule: dict[str, object]) -> None:
    whole, cut = Faults(tmp_path / "whole"), Faults(tmp_path / "cut")
    for faults in (whole, cut):
        faults.replace_all([{"target": "neon", "status": 503, **rule}])
    for _ in range(8):
        assert (cut.neon("GET", "/projects") is None) == (whole.neon("GET", "/projects") is None)
        cut = Faults(tmp_path / "cut")  # as after kill -9
        assert cut.rules == whole.rules


def test_a_rule_that_strikes_every_call_is_not_written_down_each_time(tmp_path: Path) -> None:
    file = tmp_path / "faults"
    faults = Faults(file)
    faults.replace_all([{"target": "aws", "latency_ms": 50}])
    kept = file.read_bytes()
    file.unlink()
    for _ in range(3):
        assert faults.aws("ssm", "GetParameters") is not None
    assert not file.exists()
    assert faults.documents()[0]["struck"] == 3
    file.write_bytes(kept)
    after_restart = Faults(file).aws("ssm", "GetParameters")
    assert after_restart is not None
    assert after_restart.latency_ms == 50
