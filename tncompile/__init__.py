"""tncompile: a declarative tensor-network architecture compiler for PyTorch.

>>> import tncompile
>>> spec = tncompile.loads('import "std/linear.tn" { MPO }')
>>> layer = spec.instantiate("MPO", ins=[4, 8], outs=[8, 4], ranks=8).module()
"""

from tncompile.architecture import Architecture
from tncompile.blocks import Block
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.model import Model
from tncompile.spec import Spec, from_einsum, load, loads

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "Block",
    "CompileError",
    "Diagnostic",
    "Model",
    "Spec",
    "from_einsum",
    "load",
    "loads",
]
