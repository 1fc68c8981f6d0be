"""The side that works: from a clip's bytes to its record."""
