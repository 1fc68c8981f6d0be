"""Loads what pytest would load after the tests, when it no longer can: see `tests/conftest.py`."""

import hypothesis  # noqa: F401

from workers.engines.placeholders import install

install()
