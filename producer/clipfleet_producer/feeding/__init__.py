"""Feeding runs: as many clips in flight as do good, until all are done."""
