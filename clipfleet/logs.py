"""Logs: events with fields, one line each, for people on a terminal and as JSON elsewhere."""

import json
import logging
import sys
import textwrap
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from clipfleet.printable import printable, printable_lines

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
# What vLLM adds to every record of the process that imports it.
_STANDARD |= {"vllm_process_name"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the fields given as `extra`.

    In ASCII: every letter that a terminal could act on stands as its escape.
    """

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


class TextFormatter(logging.Formatter):
    """Time, level and message on one line that a terminal acts on in no way.

    A traceback follows, indented, so that no line within it can pass for one of the log's.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The line, and its traceback."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [printable(self.formatMessage(record))]
        if record.exc_info:
            lines.append(_indented(self.formatException(record.exc_info)))
        if record.stack_info:
            lines.append(_indented(record.stack_info))
        return "\n".join(lines)


def _indented(text: str) -> str:
    # Escaped first: a lone \r or \x85 is a line end for `indent`.
    return textwrap.indent(printable_lines(text), "  ")


def set_up(*, log_format: str | None, verbose: bool) -> None:
    """Send this process's logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    as_json = log_format == "json" or (log_format is None and not sys.stderr.isatty())
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("clipfleet").setLevel(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("kombu", "amqp", "urllib3", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Celery says twice for every task what our own events say once.
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.INFO if verbose else logging.WARNING)


def adopt(*libraries: str) -> None:
    """Have loggers that libraries gave handlers of their own write as all others do."""
    for name in libraries:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def escape_crashes() -> None:
    """Have what Python itself says of an error that nobody caught escaped as logs are."""
    sys.excepthook = _say_crash
    threading.excepthook = lambda args: _say_crash(
        args.exc_type, args.exc_value, args.exc_traceback
    )


def _say_crash(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> Any:
    if issubclass(kind, SystemExit):
        return  # a thread's way to end
    lines = traceback.format_exception(kind, error, trace)
    print(printable_lines("".join(lines)), end="", file=sys.stderr)
