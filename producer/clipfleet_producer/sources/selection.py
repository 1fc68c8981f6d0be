"""Which files below a folder or a prefix are clips: by their names, then by a look inside."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from clipfleet_producer.prefetch import AHEAD, Readers, where_needed
from clipfleet_producer.sources.endings import AMBIGUOUS, ending, is_video
from clipfleet_producer.sources.first_bytes import holds_video
from clipfleet_producer.sources.globs import Glob
from clipfleet_producer.sources.hidden import is_hidden
from clipfleet_producer.sources.manifests.tables import is_listed_table
from clipfleet_producer.sources.passed_over import FOLDERS, HIDDEN, PassedOver

Item = TypeVar("Item")


@dataclass
class Selection:
    """Takes videos; with a pattern those that fit it, and manifests, and whatever its ending names.

    What is not taken is counted in `passed`. `almost` is the first file that fits the pattern but
    for capital and small letters.
    """

    glob: Glob | None = None
    passed: PassedOver = field(default_factory=PassedOver)
    almost: str | None = None

    def enters(self, folder: str) -> bool:
        """Whether to look into a folder; paths are relative to what was named."""
        if self.glob is not None and not self.glob.leads_to(folder):
            if self.glob.matches(folder):
                self.passed.add(FOLDERS)
            return False
        return self._seen(folder.rpartition("/")[2])

    def takes(self, path: str, *, parts: bool = False) -> bool:
        """Whether a file is taken by its name; with `parts`, whose folders were not asked for."""
        if self.glob is not None and not self.glob.matches(path):
            hidden = any(map(is_hidden, path.split("/")))
            if self.almost is None and not hidden and self.glob.matches(path, any_case=True):
                self.almost = path
            return False
        if not all(map(self._seen, path.split("/") if parts else [path.rpartition("/")[2]])):
            return False
        if is_video(path) or (self.glob is not None and self._listed(path)):
            return True
        self.passed.add(ending(path))
        return False

    def _listed(self, path: str) -> bool:
        return is_listed_table(path) or self._named(path)

    def by_content(
        self,
        items: Iterable[Item],
        name: Callable[[Item], str],
        head: Callable[[Item], bytes | None],
    ) -> Iterator[Item]:
        """The items that are taken, in their order; those of ambiguous names if they hold a video.

        `head` reads the first bytes; None, where it cannot: who reads the clip will tell.
        """

        def holds(item: Item) -> bool:
            found = head(item)
            return found is None or holds_video(ending(name(item)), found)

        def is_open(item: Item) -> bool:
            return ending(name(item)) in AMBIGUOUS and not self._named(name(item))

        with Readers() as pool:  # on S3 a look is a wait of some 10 ms
            for item, taken in where_needed(pool, holds, items, needs=is_open, ahead=AHEAD):
                if taken is False:
                    self.passed.add(f"{ending(name(item))} without video")
                else:
                    yield item

    def _seen(self, name: str) -> bool:
        """Whether it is not hidden, or the pattern spells it out."""
        if not is_hidden(name) or (self.glob is not None and self.glob.spells(name)):
            return True
        self.passed.add(HIDDEN)
        return False

    def _named(self, path: str) -> bool:
        """Whether the pattern says that such endings are wanted."""
        return self.glob is not None and ending(path) == self.glob.ending != ""
