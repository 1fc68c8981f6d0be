"""`clipfleet`, and `python -m clipfleet_producer`, which is the same."""

import os
import sys

INTERRUPTED = 130  # `ExitCode.INTERRUPTED`, before anything is imported


def main() -> None:
    """The console script. Interrupted, it waits for nothing that its threads are doing."""
    try:
        from clipfleet_producer.cli.main import main as begin

        begin()
    except KeyboardInterrupt:
        print("clipfleet: interrupted", file=sys.stderr)
        _end()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            _end()
        raise


def _end() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
