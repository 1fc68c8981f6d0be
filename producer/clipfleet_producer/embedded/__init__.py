"""The private stack of `clipfleet run`."""
