"""What is declared so that vLLM can be imported beside a CPU build of torch."""

import subprocess
import sys

LOOKED_FOR_TWICE = """
import importlib.util
from clipfleet_workers.inference.vllm_engine import placeholders

declared = []
placeholders._loads = lambda package: False
placeholders._declare_operators = lambda: declared.append(1) or declared
for _ in range(2):
    placeholders.install()
    importlib.util.find_spec("torchvision")  # as transformers looks for it, without importing it
assert len(declared) < 2, declared
"""


def test_operators_are_declared_once_however_often_torchvision_is_looked_for() -> None:
    subprocess.run([sys.executable, "-c", LOOKED_FOR_TWICE], check=True, timeout=60)
