"""What one queue found for one window, on its way to the clip's record."""

from clipfleet.records.record import ModelRecord, PreviewFile, Sampling, WrittenText
from clipfleet.records.status import Failure, Status
from clipfleet.records.stored import Versioned


class Completion(WrittenText):
    """A text, and how it came about.

    `variant` is the model's name in the registry. Of a text that was asked for twice, `first` is
    the first pass's, and `prompt` that of the second before the first caption was put in.
    """

    variant: str
    model: ModelRecord
    prompt: str
    sampling: Sampling
    first: WrittenText | None = None
    first_prompt: str | None = None


class Part(Versioned):
    """What one queue found for one window."""

    status: Status
    completion: Completion | None = None
    preview: PreviewFile | None = None
    error: Failure | None = None
