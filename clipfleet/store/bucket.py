"""A bucket that others fill, read as it is: keys with empty parts, folder markers and all."""

from collections.abc import Iterator

from clipfleet.store.base import ObjectInfo
from clipfleet.store.object_key import check_foreign_key
from clipfleet.store.s3 import S3Store
from clipfleet.store.s3_errors import translate_errors


class Bucket(S3Store):
    """All of a bucket; `list` also gives what consoles leave to show an empty folder.

    A listed key that `check_foreign_key` refuses cannot be asked for.
    """

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with translate_errors(self._where, "list", prefix):
            yield from self._listed(prefix)

    def beginning_with(self, start: str) -> Iterator[str]:
        """The objects, and the folders with their slash, whose names begin like this."""
        with translate_errors(self._where, "list", start):
            for found in self._client.list_objects(self._bucket, prefix=start):
                yield found.object_name

    def _name(self, key: str) -> str:
        check_foreign_key(key)
        return key
