"""A small storm over the whole fleet: everything dies once, and every clip is there in the end.

Larger ones: `python -m benchmarks.chaos`.
"""

from pathlib import Path

import pytest

from tests.support.s3_server import S3Server
from tests.support.samples import copy_samples
from tests.support.storm.campaign import campaign, small_disk
from tests.support.storm.storm import Extent


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    assert len(copy_samples(folder, count=6)) == 6
    return folder


def test_after_a_storm_every_clip_has_one_whole_record_and_nothing_is_left(
    own_s3_server: S3Server, clips: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        stormy = campaign(tmp_path, own_s3_server, disk, Extent(seconds=15), seed=3)

    assert not any(stormy.wrong.values()), stormy.wrong
    assert len(stormy.after.records) == 6
    kinds = {"kill caption", "stop prepare", "kill the broker", "empty the broker"}
    assert kinds <= stormy.done.keys()
    assert sum(count for what, count in stormy.done.items() if what.startswith("write")) > 0
