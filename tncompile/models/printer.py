"""A model as text: its inputs, parts, tensors and results, for readers."""

from __future__ import annotations

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.model import Extern, Layer, Part, ResolvedModel
from tncompile.language.typing.values import Shape, term_text


def describe_model(model: ResolvedModel) -> str:
    """One line for the model, then one a size, input, part, tensor and result."""
    lines = [f"model {model.target}"]
    for size in model.sizes:
        usual = "" if size.usual is None else f" = {size.usual}"
        lines.append(f"  batch  {size.name}{usual}{' causal' if size.causal else ''}")
    for source in model.inputs:
        lines.append(f"  input  {source.name}{_typed(source.shape, source.kind)}")
    lines += [f"  part   {part.path} = {callee_text(part)}" for part in model.parts]
    for tensor in model.tensors:
        lines.append(f"  tensor {tensor.path}({', '.join(map(str, tensor.shape))})")
    for value in model.output:
        lines.append(f"  output {_typed(value.shape, value.kind)}")
    return "\n".join(lines) + "\n"


def _typed(shape: Shape, kind: str) -> str:
    return f"{shape}{'' if kind == 'float' else f' {kind}'}"


def callee_text(part: Part) -> str:
    """The call that a part is an instance of."""
    callee = part.callee
    if isinstance(callee, ResolvedNetwork | ResolvedModel):
        return callee.target
    if isinstance(callee, Layer):
        written = ", ".join(f"{name} = {term_text(n)}" for name, n in callee.arguments.items())
        return f"{callee.name}({written})"
    assert isinstance(callee, Extern)
    return f'extern "{callee.path}"'
