"""What a line of the log holds when machines read it."""

import json
import logging

from clipfleet.logs import JsonFormatter


def line(**fields: object) -> dict[str, object]:
    record = logging.makeLogRecord(
        {"name": "clipfleet", "levelno": logging.INFO, "levelname": "INFO", "msg": "done"} | fields
    )
    read: dict[str, object] = json.loads(JsonFormatter().format(record))
    return read


def test_a_line_has_the_event_and_its_fields_and_nothing_else() -> None:
    read = line(action="window_done", run="r")
    assert read.pop("time")
    assert read == {
        "level": "info",
        "logger": "clipfleet",
        "message": "done",
        "action": "window_done",
        "run": "r",
    }


def test_what_vllm_adds_to_every_record_is_left_out() -> None:
    assert "vllm_process_name" not in line(vllm_process_name="EngineCore")
