"""Manifests that people write: their formats, rows and columns."""
