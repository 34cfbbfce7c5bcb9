"""tncompile: a declarative tensor-network architecture compiler for PyTorch.

>>> import tncompile
>>> spec = tncompile.loads('import "std/linear.tn" { MPO }')
>>> layer = spec.instantiate("MPO", ins=[4, 8], outs=[8, 4], ranks=8).module()
"""

from tncompile.architecture import Architecture
from tncompile.blocks import Block
from tncompile.converting import (
    from_bilinear,
    from_conv,
    from_embedding,
    from_linear,
    to_dense,
)
from tncompile.inspection.drawing.drawing import Drawing
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.model import Model
from tncompile.spec import Spec, from_einsum, load, loads
from tncompile.tensorizing.adapting.adapt import adapt, load_adapter
from tncompile.tensorizing.adapting.adapted import Adapted
from tncompile.tensorizing.allocating.allocate import allocate
from tncompile.tensorizing.allocating.allocation import Allocation
from tncompile.tensorizing.calibrating.calibrate import calibrate
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.comparing.compare import compare
from tncompile.tensorizing.comparing.verdict import Verdict
from tncompile.tensorizing.fitting.result import Fit
from tncompile.tensorizing.healing.distill import distill
from tncompile.tensorizing.healing.distilled import Distilled
from tncompile.tensorizing.healing.refit import refit
from tncompile.tensorizing.healing.refitted import Refit
from tncompile.tensorizing.moments import Metric
from tncompile.tensorizing.quantizing.converting import quantized_state
from tncompile.tensorizing.quantizing.quantize import quantize
from tncompile.tensorizing.replacing.folders import load_model
from tncompile.tensorizing.replacing.report import Report
from tncompile.tensorizing.replacing.tensorized import Tensorized, tensorize
from tncompile.tensorizing.rewriting.rewrite import Rewrite

__version__ = "0.1.0"

__all__ = [
    "Adapted",
    "Allocation",
    "Architecture",
    "Block",
    "CompileError",
    "Diagnostic",
    "Distilled",
    "Drawing",
    "Fit",
    "Metric",
    "Model",
    "Moments",
    "Refit",
    "Report",
    "Rewrite",
    "Spec",
    "Tensorized",
    "Verdict",
    "adapt",
    "allocate",
    "calibrate",
    "compare",
    "distill",
    "from_bilinear",
    "from_conv",
    "from_einsum",
    "from_embedding",
    "from_linear",
    "load",
    "load_adapter",
    "load_model",
    "loads",
    "quantize",
    "quantized_state",
    "refit",
    "tensorize",
    "to_dense",
]
