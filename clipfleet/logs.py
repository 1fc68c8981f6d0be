"""Logs: events with fields, one line each, for people on a terminal and as JSON elsewhere."""

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
# What vLLM adds to every record of the process that imports it.
_STANDARD |= {"vllm_process_name"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the fields given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up(*, log_format: str | None, verbose: bool) -> None:
    """Send this process's logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = log_format == "json" or (log_format is None and not sys.stderr.isatty())
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(JsonFormatter() if as_json else text)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("clipfleet").setLevel(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("kombu", "amqp", "urllib3", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Celery says twice for every task what our own events say once.
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.INFO if verbose else logging.WARNING)
