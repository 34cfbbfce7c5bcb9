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
from tests.support.sharded_cases import SPEC, Case, Model, draw, equal, loss, made_of, run, whole


def parallel(module: nn.Module, mesh: DeviceMesh, **layouts: object) -> nn.Module:
    """A module as a layer of a model whose layer is split."""
    style = module.parallel_style(**layouts)
    return parallelize_module(Model(module), mesh, {"layer": style})


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
