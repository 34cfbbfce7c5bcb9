"""Two gloo processes share legs of networks and must do what one process does; for `test_sharding`.

`python -m tests.support.sharded RANK MEETING_FILE CASES_FILE`; prints a line for each success.
"""

from __future__ import annotations

import copy
import os
import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard
from torch.distributed.tensor.parallel import parallelize_module

import tncompile
from tests.support import complex_networks

SPEC = """
import "std/linear.tn" { LowRank, MPO, TensorRing, Tucker, CP, Monarch, BilinearTN }
import "std/embedding.tn" { TTEmbedding }
import "std/classifier.tn" { MPSClassifier }

network Wide = MPO(ins = [4, 6, 2], outs = [2, 4, 6], ranks = 4)
network Padded = MPO(ins = [4, 3], outs = [4, 6], ranks = 4, inputs = 11, outputs = 23)

network Chain(n: int = 70) {
  index  p[k in 0..n] = 2, o = 4
  bond   b[k in 0..n] = 2
  input  x(..., k in 0..n, p[k])
  tensor First(p[0], b[0])
  tensor G[k in 1..n](b[k - 1], p[k], b[k])
  tensor Top(b[n - 1], o)
  output y(..., o)
}
network Sum(n: int = 70) {
  index  p[k in 0..n] = 2
  hyper  r = 4
  input  x(..., k in 0..n, p[k])
  tensor F[k in 0..n](r, p[k])
  output y(...)
}
network Mixed(d: int = 4) {
  batch  s
  index  a = d, b = 6, o = 8
  bond   u = 4
  input  x(..., s, (a b))
  input  z(..., s)
  tensor forward((a b), u) frozen
  tensor W(u, o)
  bias   c(o)
  output y(..., s, o)
}
network State() {
  index  s[k in 0..3] = 2
  bond   b[k in 0..2] = 4
  tensor A[k in 0..3](b[k - 1]?, s[k], b[k]?)
  output y(s[*])
}
network Tied() {
  index  i = 4, o = 4
  bond   u = 6
  input  x(..., i)
  tensor A(u, i)
  tensor B(u, o) tie A
  bias   c(o)
  output y(..., o)
}
"""

CASES = (
    ("LowRank(6, 8, rank = 4)", ("o", "i", "r")),
    ("Wide", ("o[0]", "o[1]", "o[2]", "i[0]", "i[1]", "i[2]", "b[0]", "b[1]")),
    ("MPO(ins = [4, 6], outs = [2, 4], ranks = 4, with_bias = false)", ("o[1]", "b[0]")),
    ("TensorRing(ins = [2, 4], outs = [4, 2], ranks = 4)", ("o[0]", "i[1]", "b[0]")),
    ("Tucker(ins = [4, 2], outs = [2, 6], in_ranks = 2, out_ranks = 2)", ("o[1]", "i[0]", "p[1]")),
    ("CP(ins = [2, 3], outs = [3, 2], rank = 4)", ("r", "o[1]")),
    ("Monarch(ins = [2, 4], outs = [4, 2])", ("o[1]", "i[0]")),
    ("BilinearTN(4, 6, 8, rank = 2)", ("i", "q", "o")),
    ("TTEmbedding(rows = [3, 4], columns = [2, 4], ranks = 2)", ("e[0]", "e[1]", "b[0]")),
    ("MPSClassifier(sites = 4, rank = 4, classes = 2)", ("a[0]",)),
    ("Chain", ("b[40]", "o")),
    ("Sum", ("r",)),
    ("Padded", ("b[0]",)),
    ("Mixed", ("a", "o", "u")),
    ("State", ("s[1]", "b[0]")),
    ("Tied", ("u",)),
)
"""Networks and the legs of each that two ranks share."""


Wanted = tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]
"""An output, the gradients of the inputs, and those of the parameters by key."""


class Model(nn.Module):
    """A network as one layer of a model."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, **inputs: Tensor) -> Tensor:
        made: Tensor = self.layer(**inputs)
        return made


def made_of(
    architecture: tncompile.Architecture, leg: str | None = None, *, seed: int = 0
) -> nn.Module:
    """A module, ready to be split along a leg."""
    return architecture.module(dtype=torch.float64, seed=seed, batch=4, search="fast", shard=leg)


def draw(architecture: tncompile.Architecture) -> dict[str, Tensor]:
    """Random inputs of a batch of four."""
    rng = torch.Generator().manual_seed(1)
    made: dict[str, Tensor] = {}
    for given in architecture.network.inputs:
        shape: list[int] = []
        for axis in given.axes:
            if axis.kind in ("legs", "slices"):
                shape.append(axis.length or 3)
            elif axis.kind == "dots":
                shape += [2, 2]
        classes = next((axis.length for axis in given.axes if axis.kind == "onehot"), None)
        if classes is None:
            x = torch.randn(shape, generator=rng, dtype=torch.float64)
            made[given.name] = x.requires_grad_()
        else:
            made[given.name] = torch.randint(classes, shape, generator=rng)
    return made


def whole(value: Tensor | None) -> Tensor:
    """A tensor, put together again where it is split."""
    assert value is not None
    return value.full_tensor() if isinstance(value, DTensor) else value


def run(module: nn.Module, inputs: dict[str, Tensor]) -> Wanted:
    """Forward and backward of a loss that is no symmetric function of the output."""
    inputs = {
        name: x.detach().clone().requires_grad_(x.requires_grad) for name, x in inputs.items()
    }
    y = module(**inputs)
    loss(whole(y)).backward()
    slopes = {name: whole(x.grad) for name, x in inputs.items() if x.requires_grad}
    return whole(y).detach(), slopes, gradients(module)


def loss(y: Tensor) -> Tensor:
    """A number of an output, every entry with a weight of its own."""
    return (y * torch.linspace(1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)).square().sum()


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Those of the parameters by key, whole."""
    return {name: whole(one.grad) for name, one in module.named_parameters()}


def equal(made: object, due: object) -> None:
    """To 1e-10, relative to the size of a number."""
    torch.testing.assert_close(made, due, rtol=1e-10, atol=1e-10)


def parallel(module: nn.Module, mesh: DeviceMesh, **layouts: object) -> nn.Module:
    """A module as a layer of a model whose layer is split."""
    style = module.parallel_style(**layouts)
    return parallelize_module(Model(module), mesh, {"layer": style})


Case = tuple[str, str, nn.Module, nn.Module, dict[str, Tensor]]
"""A network, a leg, the module without and with it, inputs."""


def write_cases(file: Path) -> None:
    """All cases: the two processes read their modules instead of compiling each."""
    spec = tncompile.loads(SPEC)
    held: list[Case] = []
    for target, legs in CASES:
        architecture = spec.instantiate(target)
        alone, inputs = made_of(architecture), draw(architecture)
        held += [(target, leg, alone, made_of(architecture, leg), inputs) for leg in legs]
    file.write_bytes(pickle.dumps(held))


def share(case: Case, mesh: DeviceMesh) -> None:
    """Both ranks share one leg, everything else as it comes."""
    _, leg, plain, unsplit, inputs = case
    alone, module = Model(copy.deepcopy(plain)), copy.deepcopy(unsplit)
    due = run(alone, inputs)
    equal(run(Model(unsplit), inputs), due)
    module = parallel(module, mesh)
    equal(run(module, inputs), due)
    assert set(module.state_dict()) == set(alone.state_dict())
    split = 0
    for name, held in module.named_parameters():
        assert isinstance(held, DTensor)
        assert isinstance(held.grad, DTensor)
        assert held.grad.placements == held.placements, name
        split += isinstance(held.placements[0], Shard)
        shares = 2 if isinstance(held.placements[0], Shard) else 1
        assert held.to_local().numel() * shares == held.numel()
    assert split or leg == "a", "nothing is split"
    folded = module.layer.fold()
    equal(folded(**inputs), due[0])
    if hasattr(alone.layer, "weight"):
        for made in (unsplit, module.layer, folded):
            equal(made.weight.detach(), alone.layer.weight.detach())
            if getattr(alone.layer, "bias", None) is not None:
                equal(made.bias.detach(), alone.layer.bias.detach())


UP = "MPO(ins = [2, 4], outs = [4, 6], ranks = 4)"
DOWN = "MPO(ins = [4, 6], outs = [2, 4], ranks = 4)"


class FeedForward(nn.Module):
    """Two networks with a nonlinearity between."""

    def __init__(self, up: nn.Module, down: nn.Module) -> None:
        super().__init__()
        self.up, self.down = up, down

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.down(nn.functional.gelu(self.up(x)))
        return made


def feed_forward(spec: tncompile.Spec, legs: tuple[str, str] | None) -> FeedForward:
    """The model, its layers ready to be split along these legs."""
    up, down = legs or (None, None)
    return FeedForward(
        made_of(spec.instantiate(UP), up),
        made_of(spec.instantiate(DOWN), down, seed=1),
    )


def train(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The parameters, whole, after some steps."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        loss(whole(module(x))).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    return {name: whole(one).detach() for name, one in module.named_parameters()}


def megatron(spec: tncompile.Spec, mesh: DeviceMesh, legs: tuple[str, str]) -> None:
    """The leg between two layers is split in both; nothing is sent there."""
    seen: list[torch.Size] = []
    alone, module = feed_forward(spec, None), feed_forward(spec, legs)
    x = draw(spec.instantiate(UP))
    styles = {
        "up": module.up.parallel_style(output_layouts=Shard(-1)),
        "down": module.down.parallel_style(input_layouts=Shard(-1)),
    }
    parallelize_module(module, mesh, styles)
    module.down.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape), prepend=True)
    equal(run(module, x), run(alone, x))
    assert seen == [(2, 2, 12)]
    equal(train(module, x["x"].detach()), train(alone, x["x"].detach()))


def layouts(spec: tncompile.Spec, mesh: DeviceMesh) -> None:
    """Inputs and outputs laid out in every way."""
    rank, one = mesh.get_local_rank(), [Replicate()]
    architecture = spec.instantiate(UP)
    (x,) = draw(architecture).values()
    x = x.detach()
    y = made_of(architecture)(x).detach()

    def made(leg: str, given: Tensor, **wanted: object) -> Tensor:
        module = made_of(architecture, leg)
        result: Tensor = parallel(module, mesh, **wanted)(x=given)
        return result

    def laid_out(given: Tensor, placement: Placement) -> None:
        assert isinstance(given, DTensor)
        assert given.placements == (placement,)
        equal(given.full_tensor(), y)

    ours, entries = slice(rank, rank + 1), slice(12 * rank, 12 * rank + 12)
    for leg in ("o[0]", "o[1]", "i[0]", "b[0]"):
        equal(made(leg, x[ours], input_layouts=Shard(0)), y)
        equal(made(leg, DTensor.from_local(x, mesh, one)), y)
        equal(made(leg, DTensor.from_local(x[ours], mesh, [Shard(0)])), y)
        equal(made(leg, x, output_layouts=Shard(0)), y[ours])
        for placement in (Replicate(), Shard(0), Shard(2)):
            laid_out(made(leg, x, output_layouts=placement, use_local_output=False), placement)
    equal(made("o[0]", x, output_layouts=Shard(-1)), y[..., entries])
    mine = y.unflatten(-1, (4, 6))[..., 3 * rank : 3 * rank + 3].flatten(-2)
    equal(made("o[1]", x, output_layouts=Shard(-1)), mine)
    parts = made("b[0]", x, output_layouts=Partial())
    equal(DTensor.from_local(parts, mesh, [Partial()]).full_tensor(), y)
    for given in (x[..., 4 * rank : 4 * rank + 4], DTensor.from_local(x, mesh, one)):
        equal(made("i[0]", given, input_layouts=Shard(-1)), y)
    held = DTensor.from_local(x[..., 4 * rank : 4 * rank + 4], mesh, [Shard(2)])
    equal(made("i[0]", held), y)
    equal(made("i[1]", held), y)
    empty = made("o[1]", x[:0])
    assert empty.shape == (0, 2, 24)


def refuse(spec: tncompile.Spec, mesh: DeviceMesh) -> None:
    """What is wrong is said, on every rank."""
    architecture = spec.instantiate("MPO(ins = [3, 2], outs = [3, 2], ranks = 3)")
    x = torch.randn(4, 6)

    def said(kind: type[Exception], call: Callable[[], object]) -> str:
        try:
            call()
        except kind as error:
            return str(error)
        raise AssertionError("nothing is wrong")

    module = architecture.module(shard="o[0]")
    message = said(ValueError, lambda: parallel(module, mesh))
    assert message == "`o[0]` has 3 entries, which 2 ranks cannot share evenly"
    assert not isinstance(module.c, DTensor)
    style = module.parallel_style()
    other = nn.Linear(2, 2)
    message = said(TypeError, lambda: parallelize_module(other, mesh, style))
    assert message == "MPOParallel splits MPO, not Linear"
    module = parallel(architecture.module(shard="i[1]"), mesh)
    message = said(ValueError, lambda: module(x=x[:, :3]))
    assert message.startswith("x: axis -1 must have all 6 entries, got shape (4, 3); with input_")
    module = parallel(architecture.module(shard="i[1]"), mesh, input_layouts=Shard(-1))
    message = said(ValueError, lambda: module(x=x))
    assert "i[1] must be as in G[k in 0..sites]" in message
    message = said(TypeError, lambda: module.layer(x, x))
    assert "multiple values" in message


def with_data_parallelism(spec: tncompile.Spec, shape: tuple[int, int]) -> None:
    """`fully_shard` on one axis of a mesh, a leg on the other."""
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("data", "leg"))
    alone, module = feed_forward(spec, None), feed_forward(spec, ("o[0]", "i[0]"))
    x = draw(spec.instantiate(UP))["x"].detach()
    styles = {
        "up": module.up.parallel_style(output_layouts=Shard(-1)),
        "down": module.down.parallel_style(input_layouts=Shard(-1)),
    }
    parallelize_module(module, mesh["leg"], styles)
    fully_shard(module, mesh=mesh["data"])
    count, mine = mesh["data"].size(), mesh["data"].get_local_rank()
    part = x[2 // count * mine : 2 // count * (mine + 1)]
    due, made = torch.optim.SGD(alone.parameters()), torch.optim.SGD(module.parameters())
    for _ in range(2):
        alone(x).square().mean().backward()
        module(part).square().mean().backward()
        due.step()
        made.step()
    held = {name: whole(one).detach() for name, one in module.named_parameters()}
    equal(held, {name: one.detach() for name, one in alone.named_parameters()})


def of_one_dtype(mesh: DeviceMesh) -> None:
    """Torch refuses to shard real and complex parameters together, as `docs/modules.md` says."""
    x = torch.randn(4, 6, 4)
    mixed = complex_networks.made("Mixed", dtype=torch.float32)
    fully_shard(mixed, mesh=mesh)
    page = (Path(__file__).parents[2] / "docs" / "modules.md").read_text(encoding="utf-8")
    try:
        mixed(x)
    except AssertionError as error:
        words, _, kinds = str(error).partition("{")
    else:
        raise AssertionError("torch takes them by now")
    assert words in " ".join(page.split())
    assert all(kind in kinds for kind in ("torch.float32", "torch.complex64"))
    alone = complex_networks.made("Mixed", dtype=torch.complex64)
    module = complex_networks.made("Mixed", dtype=torch.complex64)
    fully_shard(module, mesh=mesh)
    torch.testing.assert_close(module(x + 0j), alone(x + 0j))


def compiled(spec: tncompile.Spec, mesh: DeviceMesh) -> None:
    """`torch.compile` sees through the style."""
    architecture = spec.instantiate(UP)
    x = draw(architecture)
    due = run(made_of(architecture), x)
    module = made_of(architecture, "o[1]")
    parallelize_module(module, mesh, module.parallel_style())
    made = run(torch.compile(module, backend="aot_eager", fullgraph=True), x)
    equal(made[:2], due[:2])


def page(folder: Path) -> None:
    """The example of docs/sharding.md, next to the files that its commands write."""
    text = (Path(__file__).parents[2] / "docs" / "sharding.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    sys.path.insert(0, str(folder))
    held: dict[str, object] = {}
    exec(compile(code, "docs/sharding.md", "exec"), held)
    model = held["model"]
    assert isinstance(model, nn.Module)
    shapes = {one.to_local().shape for one in model.parameters() if isinstance(one, DTensor)}
    assert torch.Size([4, 4, 8]) in shapes


def main(rank: int, meeting: Path, cases: Path) -> None:
    """One of two processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))

    def done(*what: str) -> None:
        if rank == 0:
            print(*what, sep="\t", flush=True)

    for case in pickle.loads(cases.read_bytes()):
        share(case, mesh)
        done(*case[:2])
    spec = tncompile.loads(SPEC)
    megatron(spec, mesh, ("o[0]", "i[0]"))
    megatron(spec, mesh, ("o[1]", "i[1]"))
    done("feed-forward")
    layouts(spec, mesh)
    done("layouts")
    refuse(spec, mesh)
    done("refusals")
    with_data_parallelism(spec, (1, 2))
    of_one_dtype(mesh)
    done("fully_shard")
    compiled(spec, mesh)
    done("compile")
    page(meeting.parent)
    done("page")
    dist.barrier()
    dist.destroy_process_group()
    # As in `tests.support.distributed`: what gloo leaves behind may abort the interpreter's end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
