"""Sample clips of a small world of shapes, with the truth about each beside it."""

from clipfleet_producer.samples.files import write_samples

__all__ = ["write_samples"]
