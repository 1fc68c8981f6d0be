"""Makes vLLM importable beside a CPU build of torch where torchvision is built for CUDA.

Package indexes may pair a CPU torch with CUDA builds of torchvision, torchaudio and torchcodec.
torchvision is needed (transformers' video processors use its Python code), but its import fails
because its compiled library, which defines two operators, does not load. torchaudio and torchcodec
are not needed (frames come from PyAV), but transformers imports them when it finds them, and fails.

So the last two are hidden, and the operators are declared without an implementation, but only where
torchvision's own library cannot be loaded. A torchvision that works is left alone.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Acts once, when torchvision is first imported; finds no module itself."""

    library: Any = None  # kept alive: operators vanish with the library object

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name == "torchvision" and self in sys.meta_path:
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec("torchvision")
            if spec is not None and spec.origin is not None and not _loads(Path(spec.origin)):
                type(self).library = _declare_operators()
        return None


def _loads(package: Path) -> bool:
    import torch

    libraries = [*package.parent.glob("_C*.so"), *package.parent.glob("_C*.pyd")]
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return bool(libraries)


def _declare_operators() -> Any:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in _OPERATORS:
        library.define(name + _SIGNATURE)
    return library


def install() -> None:
    """Do this in this process. Call it before torch, transformers or vLLM is imported."""
    for name in ("torchaudio", "torchcodec"):
        # None is Python's own mark for "not there", for `import` and `find_spec` alike.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    waiting = any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path)
    declared = _BeforeTorchvision.library is not None
    if "torchvision" not in sys.modules and not waiting and not declared:
        sys.meta_path.insert(0, _BeforeTorchvision())
