"""What is known of a packet before it is decoded, and which parameters it may change."""

from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol


class Kind(NamedTuple):
    """One packet.

    `starts`: nothing shown after it references anything before it. `disposable`: no other packet of
    its `layer` (temporal; lower ones never reference higher ones) references it. `sets`: it changes
    parameters that later packets may need. `anew`: decoders start anew here, and may drop frames
    not yet shown. `unsure`: something is wrong (a missing packet, a field without its other), so
    that only the decoder knows what is shown. `hidden`: its frame is never shown itself. `empty`:
    it has no frame, and so references nothing. `joins`: it is the second field of the packet
    before. `order`: the frame's place in display order, by the codec's own count; None if it has
    none that is read here.
    """

    starts: bool = False
    disposable: bool = False
    layer: int = 0
    sets: bool = False
    anew: bool = False
    unsure: bool = False
    hidden: bool = False
    empty: bool = False
    joins: bool = False
    order: tuple[int, int] | None = None


class Order:
    """The order in which pictures are shown, from the low bits of their count.

    As in H.264, 8.2.1.1, and H.265, 8.3.1: counted from each picture that starts a sequence.
    """

    def __init__(self) -> None:
        self._sequence = self._before = 0

    def start(self) -> None:
        """A new sequence begins."""
        self._sequence, self._before = self._sequence + 1, 0

    def of(self, low: int, length: int, *, counts: bool) -> tuple[int, int]:
        """Of a picture with these low bits; `counts` where the next ones count from it."""
        whole = 1 << length
        count = (self._before & -whole) + low
        if count - self._before <= -whole // 2:
            count += whole
        elif count - self._before > whole // 2:
            count -= whole
        if counts:
            self._before = count
        return self._sequence, count


class Reader(Protocol):
    """Reads a stream's packets in their order."""

    def read(self, data: bytes) -> Kind:
        """What one packet's own bytes say; never raises."""

    def renew(self, extradata: bytes) -> None:
        """Take the stream's extradata, or others that come as a packet's side data."""


class Alone:
    """Reads each packet on its own."""

    def __init__(self, kind_of: Callable[[bytes], Kind]) -> None:
        self._kind_of = kind_of

    def read(self, data: bytes) -> Kind:
        """What its bytes say."""
        return self._kind_of(data)

    def renew(self, extradata: bytes) -> None:
        """Nothing there changes how a packet is read."""


class Held:
    """The parameters that a decoder keeps, by kind and name: a repeated one changes nothing."""

    def __init__(self) -> None:
        self._values: defaultdict[str, dict[Hashable, bytes]] = defaultdict(dict)

    def take(self, kind: str, name: Hashable, value: bytes) -> bool:
        """Keep a value; whether that changes anything."""
        values = self._values[kind]
        changes = values.get(name) != value
        values[name] = value
        return changes

    def drop(self, *kinds: str) -> None:
        """Forget all of these kinds: they must come again."""
        for kind in kinds:
            self._values.pop(kind, None)
