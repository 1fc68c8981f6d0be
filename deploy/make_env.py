"""Writes .env with passwords made at random. Run by `make env`; standard library only.

What is to be in it is read from .env.example: each variable without a value there is a password. A
.env that is there is left as it is, and what it lacks is named.
"""

import os
import secrets
import sys
from pathlib import Path

PASSWORD_BYTES = 24


def main() -> int:
    """Make .env in the folder that is named, else in the project's; returns the exit status."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).resolve().parents[1]
    path, example = folder / ".env", (folder / ".env.example").read_text()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        missing = [name for name in passwords(example) if name not in given(path.read_text())]
        if missing:
            print(
                f"clipfleet: {path} has no {', '.join(missing)}; give each a value there, or move "
                "the file away and run make env again",
                file=sys.stderr,
            )
            return 1
        print(f"{path} is there already and stays as it is")
        return 0
    with os.fdopen(descriptor, "w") as file:
        file.write(filled(example))
    print(f"{path} has new passwords; keep it to yourself")
    return 0


def passwords(example: str) -> list[str]:
    """The variables that the example leaves without a value."""
    return [line[:-1] for line in example.splitlines() if is_password(line)]


def is_password(line: str) -> bool:
    """Whether a line is a variable without a value."""
    return line.endswith("=") and not line.startswith("#")


def given(text: str) -> set[str]:
    """The variables that have a value."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name.strip() for name, _, value in pairs if value.strip()}


def filled(example: str) -> str:
    """The example with a password for each variable that has none."""
    return "".join(
        f"{line}{secrets.token_hex(PASSWORD_BYTES) if is_password(line) else ''}\n"
        for line in example.splitlines()
    )


if __name__ == "__main__":
    sys.exit(main())
