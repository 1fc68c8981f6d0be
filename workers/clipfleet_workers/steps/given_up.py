"""Why a clip is given up: its record has one of these as its error."""

from clipfleet.errors import ClipError, StoreError


class MaxDeliveriesExceeded(ClipError):
    """The clip ended its worker too often and is not tried again."""

    def __init__(self, times: int) -> None:
        super().__init__(
            f"it ended its worker {times} times and is not tried again (setting max_deliveries)"
        )


class StoreRetriesExhausted(ClipError):
    """The store failed the clip time after time, and it is not tried again."""

    def __init__(self, tries: int, error: StoreError) -> None:
        super().__init__(f"{error}; tried {tries} times and not again (setting max_retries)")
