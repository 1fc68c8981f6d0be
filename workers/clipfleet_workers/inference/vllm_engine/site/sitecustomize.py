"""Python runs this at start-up in every process that an engine starts.

The folder is put on PYTHONPATH by `vllm_engine.engine`. A `sitecustomize` that this one hides
is run as well.
"""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

from clipfleet_workers.inference.vllm_engine.placeholders import install

install()

_elsewhere = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]
_hidden = importlib.machinery.PathFinder.find_spec("sitecustomize", _elsewhere)
if _hidden is not None and _hidden.loader is not None:
    _hidden.loader.exec_module(importlib.util.module_from_spec(_hidden))
