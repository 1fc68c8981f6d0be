"""What is known of a packet before it is decoded."""

from typing import NamedTuple


class Kind(NamedTuple):
    """One packet.

    `starts`: nothing shown after it leans on anything before it. `disposable`: no other packet of
    its `layer` (temporal; lower ones never lean on higher ones) leans on it. `sets`: it carries
    parameters that later packets may need. `hidden`: its frame is never shown itself.
    """

    starts: bool = False
    disposable: bool = False
    layer: int = 0
    sets: bool = False
    hidden: bool = False
