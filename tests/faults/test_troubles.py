"""A fleet outlives its broker, an upgrade and its visitors: a seed each of `benchmarks.outages`."""

from pathlib import Path

import pytest

from tests.support.outages import troubles, visitors
from tests.support.outages.trials import BAR_S, kinds, trials


@pytest.mark.parametrize("trouble", kinds())
def test_a_run_comes_to_its_end_whatever_comes_between(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(troubles, "FOR_S", 4.0)
    monkeypatch.setattr(visitors, "DENIED_S", 4.0)

    (outcome,) = trials(tmp_path, trouble, [1], clips=16)

    assert outcome.wrong == []
    assert outcome.seconds is not None
    assert outcome.seconds < BAR_S
