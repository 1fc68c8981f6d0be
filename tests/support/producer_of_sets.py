"""A producer of its own process: begins one new set after another, at moments that others share.

Settings come from the environment. Prints a line for each set: what it came to.
"""

import sys
import time

from clipfleet.errors import UsageError
from clipfleet.options import CaptionOptions, Options
from clipfleet.settings import read_settings
from clipfleet_producer.feeding.submission import RunRequest, create_run


def main(who: str, prompt: str, clip: str, count: str, start_at: str, every_s: str) -> None:
    """`count` sets, the first at `start_at` (seconds since 1970), `every_s` apart."""
    settings = read_settings()
    options = Options(caption=CaptionOptions(prompt_text=prompt))
    for number in range(int(count)):
        request = RunRequest(names=[clip], run_id=f"{who}-{number}", set_name=f"set-{number}")
        time.sleep(max(0.0, float(start_at) + number * float(every_s) - time.time()))
        try:
            made = create_run(request, settings, options)
            print("begun", made.options.caption.prompt_text, flush=True)
        except UsageError as error:
            print("refused", str(error).replace("\n", " "), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
