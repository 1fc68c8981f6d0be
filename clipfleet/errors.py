"""What can go wrong, named. An error's docstring is its default message."""

import enum
import inspect


class ExitCode(enum.IntEnum):
    """Exit codes of `clipfleet` and `clipfleet-worker`."""

    OK = 0
    BUG = 1  # an unexpected error; --verbose shows where
    USAGE = 2  # the command or a setting must be corrected
    FAILED_CLIPS = 3  # the run finished, and some clips have errors in their records
    BROKER = 4  # the broker refuses, or cannot be reached
    STORE = 5  # the store refuses, is full, or cannot be reached
    MODEL = 6  # a model cannot be loaded
    ENGINE_DEAD = 7  # the inference engine died; the worker must be started again
    WORKERS = 8  # workers of an embedded run keep dying
    INTERRUPTED = 130  # Ctrl-C
    CLOSED_PIPE = 141  # nobody reads its output any more, as behind `| head`


# A process that ended with one of these would do so again: something must be corrected first.
FINAL = (ExitCode.USAGE, ExitCode.MODEL)


class ClipfleetError(Exception):
    """Something went wrong in clipfleet."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or ""))


class UsageError(ClipfleetError):
    """The command cannot be carried out as given."""

    exit_code = ExitCode.USAGE


class SetConflict(UsageError):
    """The run's options differ from those that its set is made with."""


class RunFinished(UsageError):
    """The run has finished."""


class RunCancelled(UsageError):
    """The run is cancelled."""


class ClipError(ClipfleetError):
    """The clip cannot be processed."""

    exit_code = ExitCode.FAILED_CLIPS


class ClipUnreadable(ClipError):
    """The clip cannot be decoded."""


class ClipEncrypted(ClipUnreadable):
    """The clip is encrypted, and must be decrypted before it can be read."""


class ClipTooShort(ClipError):
    """The clip has fewer than 4 frames, too few for a window."""


class ClipTooLarge(ClipError):
    """The clip is beyond a limit."""


class ClipMissing(ClipError):
    """The clip is not where its job says it is."""


class AddressRefused(ClipMissing):
    """The clip's address is refused: its signature has expired, is wrong, or is missing."""


class ClipArchived(ClipError):
    """The clip is archived, and must be restored before it can be read."""


class SourceUnreadable(ClipfleetError):
    """The clip cannot be read on the machine that feeds it."""


class ScratchGone(ClipfleetError):
    """What workers need of the clip is gone from scratch; its feeder will provide it again."""


class PackInvalid(ClipError):
    """A frame pack is truncated or was not written by clipfleet."""


class WindowTooLong(ClipError):
    """The window needs more tokens than the model's context has."""


class RequestRefused(ClipError):
    """The engine refuses this window's prompt."""


class RequestTimedOut(ClipError):
    """The model gave no answer within the time limit."""


class EngineFailed(ClipError):
    """The engine failed on this window, twice, and goes on with others."""


class MessageInvalid(ClipfleetError):
    """A message on the queue does not follow the schema."""


class NewerVersion(ClipfleetError):
    """It was written by a newer version of clipfleet, and is left to workers of that version."""


class BrokerError(ClipfleetError):
    """The broker cannot be used."""

    exit_code = ExitCode.BROKER


class BrokerAway(BrokerError):
    """The broker cannot be reached, or cannot serve requests at the moment."""


class StoreError(ClipfleetError):
    """The store cannot be used."""

    exit_code = ExitCode.STORE


class StoreUnavailable(StoreError):
    """The store cannot be reached, or asks to try again later."""


class StoreDenied(StoreError):
    """The store refuses the credentials, or they do not allow this."""


class SourceDenied(StoreDenied):
    """The clips' location refuses the credentials; clips wait until it accepts them."""


class StoreFull(StoreError):
    """The store has no space left."""


class ObjectMissing(StoreError):
    """There is no object under this key."""


class ObjectChanged(StoreUnavailable):
    """The object was replaced while it was read."""


class ObjectArchived(StoreError):
    """The object is archived, and cannot be read until it is restored."""


class ModelUnavailable(ClipfleetError):
    """The model's weights cannot be loaded."""

    exit_code = ExitCode.MODEL


class ModelMismatch(ClipError):
    """The run asks for another model than this worker has loaded."""


class EngineDead(ClipfleetError):
    """The inference engine died."""

    exit_code = ExitCode.ENGINE_DEAD


class Interrupted(ClipfleetError):
    """The worker is stopping, and returns its messages to the queue."""


class WorkersFailing(ClipfleetError):
    """The workers of this run keep dying."""

    exit_code = ExitCode.WORKERS
