"""What lies in the store as JSON: how it is written, read, and told from what is newer."""

import json
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from clipfleet.errors import NewerVersion


class Stored(BaseModel):
    """Something that lies in the store as JSON.

    Fields that a newer version added are taken, and kept where it is written again.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    def to_bytes(self) -> bytes:
        """The object's bytes: JSON, indented, UTF-8."""
        return self.model_dump_json(indent=1).encode()


class Versioned(Stored):
    """An object of its own, in the form of a `version`. One of a newer version is not read."""

    newest: ClassVar[int] = 2
    version: int = 2

    @classmethod
    def read(cls, data: bytes) -> Self:
        """The object. Raises `NewerVersion`, or pydantic's `ValidationError` if it is none."""
        check_version(data, cls.newest, of=cls.__name__)
        return cls.model_validate_json(data)


def check_version(data: bytes, newest: int, *, of: str, field: str = "version") -> None:
    """Raises `NewerVersion` where a JSON object says that it is of a version above `newest`."""
    version = peek(data).get(field)
    if type(version) is int and version > newest:
        raise NewerVersion(
            f"a {of} of version {version} is left to a newer clipfleet; "
            f"this one reads up to {newest}"
        )


def peek(data: bytes) -> dict[str, Any]:
    """The fields of a JSON object; none of what is no such thing."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
