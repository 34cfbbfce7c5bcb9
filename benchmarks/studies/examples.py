"""Files of `examples/` as modules: studies compress the models that stand there."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def example(folder: str, name: str) -> ModuleType:
    """`examples/FOLDER/NAME.py`."""
    path = Path(__file__).parents[2] / "examples" / folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
