"""Holds our pinned versions against known vulnerabilities, as osv.dev has them. Run by `make lint`.

Fails on one that is not in `IGNORED`. Where the service cannot be reached, says so in one line and
fails nothing: lint must work without a network. Standard library only, and one request.
"""

import http.client
import json
import os
import re
import sys
import urllib.request
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
PINNED_IN = ("constraints.txt", "pyproject.toml", "bootstrap.py")
SERVICE = "https://api.osv.dev/v1/querybatch"
TIMEOUT_S = 5
# What the service must know to be believed: a mirror may answer, and know nothing.
KNOWN_BAD = ("jinja2", "2.10")

# What a service that is away, or that answers with something else, raises here.
BROKEN = (OSError, ValueError, LookupError, TypeError, AttributeError, http.client.HTTPException)

# Vulnerabilities that do not reach us: until when that holds, to be looked at again, and why.
IGNORED: dict[str, tuple[date, str]] = {}


def main() -> int:
    """Audit; returns the exit code."""
    versions = pins("\n".join((ROOT / name).read_text() for name in PINNED_IN))
    try:
        found = ask(os.environ.get("OSV_URL", SERVICE), [KNOWN_BAD, *versions])
    except BROKEN as error:
        print(f"audit: not done, for the service does not answer ({error})"[:200])
        return 0
    if not found.pop(0):
        print("audit: not done, for the service knows no vulnerabilities")
        return 0
    today = datetime.now(UTC).date()
    bad = [
        f"audit: {name} {version} has {each}: https://osv.dev/{each}"
        for (name, version), ids in zip(versions, found, strict=True)
        for each in ids
        if each not in IGNORED or IGNORED[each][0] < today
    ]
    if bad:
        bad.append("audit: pin a version without, or say in audit.py why it does not reach us")
    print("\n".join(bad) or f"audit: no known vulnerability in {len(versions)} packages")
    return 1 if bad else 0


def pins(text: str) -> list[tuple[str, str]]:
    """Every name and version that the text pins with ==, each once."""
    found = re.findall(r"([A-Za-z0-9][\w.-]*)(?:\[[\w,]+\])?==([\w.!]+)", text)
    return sorted({(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in found})


def ask(url: str, versions: list[tuple[str, str]]) -> list[list[str]]:
    """The ids of what is known of each version. Raises OSError, ValueError or LookupError."""
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in versions
    ]
    request = urllib.request.Request(
        url, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        results: list[dict[str, Any]] = json.load(answer)["results"]
    if len(results) != len(versions):
        raise ValueError(f"{len(results)} answers to {len(versions)} questions")
    return [[each["id"] for each in result.get("vulns", [])] for result in results]


if __name__ == "__main__":
    sys.exit(main())
