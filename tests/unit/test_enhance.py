"""What the enhance queue does where there is no caption to enhance."""

from pathlib import Path

import pytest

from clipfleet import keys
from clipfleet.messages import WindowJob
from clipfleet.options import Options
from clipfleet.queues import CAPTION, ENHANCE
from clipfleet.records import Failure, Part, Status
from clipfleet.settings import read_settings
from clipfleet_workers.context import Context
from clipfleet_workers.steps import idempotent, scratch
from clipfleet_workers.steps.enhance import enhance
from tests.support.records import completed

OPTIONS = Options()
JOB = WindowJob(
    run_id="r",
    clip_uuid=keys.clip_uuid("file:///a.mp4"),
    options_hash=OPTIONS.hash,
    start_frame=0,
    end_frame=9,
)
FAILED = Failure(step="caption", error="EngineFailed", message="it cannot do this one")


class SilentBroker:
    def emit(self, *_: object) -> None: ...


@pytest.fixture
def context(tmp_path: Path) -> Context:
    context = Context(read_settings(store=str(tmp_path)))
    vars(context)["broker"] = SilentBroker()
    context.store.put(keys.run_options("r"), OPTIONS.model_dump_json().encode())
    return context


def test_where_scratch_is_gone_nothing_is_said_of_the_caption(context: Context) -> None:
    assert idempotent.do_once(context, ENHANCE, JOB, enhance) == idempotent.DONE

    assert scratch.find_part(context, JOB, 0, 9, ENHANCE) is None


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        (Part(status=Status.ERROR, error=FAILED), "not enhanced: the caption failed"),
        (completed(""), "not enhanced: the caption is empty"),
    ],
)
def test_a_caption_that_failed_or_is_empty_is_skipped_with_the_reason(
    context: Context, caption: Part, reason: str
) -> None:
    scratch.write_part(context, JOB, CAPTION, caption)

    found = enhance(context, JOB)

    assert found.status is Status.SKIPPED
    assert found.error is not None
    assert found.error.message == reason
