"""Objects of a run in the store: JSON, written whole and read by their version."""

from typing import TypeVar

from pydantic import ValidationError

from clipfleet.errors import NewerVersion, ObjectMissing, UsageError
from clipfleet.records import Versioned
from clipfleet.store import Store

JSON = "application/json"
JSON_LINES = "application/x-ndjson"

Kind = TypeVar("Kind", bound=Versioned)


def put_json(store: Store, key: str, text: str) -> None:
    """Write a JSON text, over whatever is there."""
    store.put(key, text.encode(), content_type=JSON)


def find(store: Store, key: str, kind: type[Kind]) -> Kind | None:
    """The object as a `kind`; None where there is none, or none that can be read.

    Raises `UsageError` where a newer clipfleet wrote it.
    """
    try:
        return kind.read(store.get(key))
    except NewerVersion as error:
        raise UsageError(f"{key}: {error}") from None
    except (ObjectMissing, ValidationError):
        return None
