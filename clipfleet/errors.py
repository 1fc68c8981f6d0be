"""What can go wrong, named. An error's docstring is its default message."""

import enum
import inspect


class ExitCode(enum.IntEnum):
    """Exit codes of `clipfleet` and `clipfleet-worker`."""

    OK = 0
    BUG = 1  # an error nobody foresaw; --verbose shows where
    USAGE = 2  # something in the command or the settings to put right
    FAILED_CLIPS = 3  # the run ended, and some clips have errors in their records
    BROKER = 4  # the broker refuses, or cannot be reached
    STORE = 5  # the store refuses, is full, or cannot be reached
    MODEL = 6  # a model cannot be loaded
    ENGINE_DEAD = 7  # the inference engine died; the worker must be started again
    WORKERS = 8  # workers of an embedded run keep dying
    INTERRUPTED = 130  # Ctrl-C


# A process that ended with one of these would end so again: there is something to put right first.
FINAL = (ExitCode.USAGE, ExitCode.MODEL)


class ClipfleetError(Exception):
    """Something went wrong in clipfleet."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or ""))


class UsageError(ClipfleetError):
    """The command cannot be carried out as given."""

    exit_code = ExitCode.USAGE


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
    """The clip lies in an archive, and must be restored before it can be read."""


class SourceUnreadable(ClipfleetError):
    """The clip cannot be read on the machine that feeds it."""


class ScratchGone(ClipfleetError):
    """What workers need of the clip is gone from scratch; whoever feeds it brings it again."""


class PackInvalid(ClipError):
    """A frame pack is truncated or was not written by clipfleet."""


class WindowTooLong(ClipError):
    """The window needs more tokens than the model's context holds."""


class RequestRefused(ClipError):
    """The engine does not take this window's prompt."""


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
    """The broker cannot be reached, or is not well just now."""


class StoreError(ClipfleetError):
    """The store cannot be used."""

    exit_code = ExitCode.STORE


class StoreUnavailable(StoreError):
    """The store cannot be reached, or asks to try again later."""


class StoreDenied(StoreError):
    """The store refuses the credentials, or they do not allow this."""


class SourceDenied(StoreDenied):
    """The place that clips lie in refuses the credentials; clips wait until it does not."""


class StoreFull(StoreError):
    """The store has no space left."""


class ObjectMissing(StoreError):
    """There is no object under this key."""


class ObjectChanged(StoreUnavailable):
    """The object was replaced while it was read."""


class ObjectArchived(StoreError):
    """The object lies in an archive, and cannot be read until it is restored."""


class ModelUnavailable(ClipfleetError):
    """The model's weights cannot be loaded."""

    exit_code = ExitCode.MODEL


class ModelMismatch(ClipError):
    """The run asks for a model that this worker does not hold."""


class EngineDead(ClipfleetError):
    """The inference engine died."""

    exit_code = ExitCode.ENGINE_DEAD


class Interrupted(ClipfleetError):
    """The worker is stopping, and gives back what it holds."""


class WorkersFailing(ClipfleetError):
    """The workers of this run keep dying."""

    exit_code = ExitCode.WORKERS
