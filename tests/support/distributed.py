"""Two gloo processes train every module and must do what one process does; run by `processes`.

`python -m tests.support.distributed RANK MEETING_FILE MODULES_FILE` prints a line
`CAPABILITY<tab>MODULE` for each success.
"""

from __future__ import annotations

import copy
import os
import pickle
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from tests.support.modules import tensors

STEPS = 3


def train(module: nn.Module, inputs: list[Tensor], part: slice) -> Tensor:
    """Some steps of gradient descent on a part of the batch; the last output.

    The last gradients stay where they are.
    """
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        outputs = tensors(module(*(x[part] for x in inputs)))
        sum(each.square().mean() for each in outputs if each.requires_grad).backward()
        optimizer.step()
    return outputs[-1].detach()


def whole(value: Tensor | None) -> Tensor:
    """A tensor, put together again where it is sharded."""
    assert value is not None
    return value.full_tensor() if isinstance(value, DTensor) else value


def compare(
    kind: str,
    given: nn.Module,
    inputs: list[Tensor],
    blocks: tuple[str, ...],
    batch: int,
    mesh: DeviceMesh,
) -> None:
    """Trains a module in both processes, and alone; all numbers must agree."""
    alone, module = copy.deepcopy(given), copy.deepcopy(given)
    due = train(alone, inputs, slice(None))
    half = batch // dist.get_world_size()
    part = slice(half * dist.get_rank(), half * (dist.get_rank() + 1))
    if kind == "DDP":
        made = train(DistributedDataParallel(module), inputs, part)
    else:
        for block in blocks:
            fully_shard(module.get_submodule(block), mesh=mesh)
        fully_shard(module, mesh=mesh)  # changes the class of the module itself
        made = train(module, inputs, part)
    torch.testing.assert_close(made, due[part] if inputs else due)
    held = dict(module.named_parameters())
    assert set(module.state_dict()) == set(alone.state_dict())
    for key, parameter in alone.named_parameters():
        torch.testing.assert_close(whole(held[key]), parameter)
        assert (held[key].grad is None) == (parameter.grad is None)
        if parameter.grad is not None:
            torch.testing.assert_close(whole(held[key].grad), parameter.grad)


def main(rank: int, meeting: Path, modules: Path) -> None:
    """One of two processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    batch, held = pickle.loads(modules.read_bytes())  # compiled by the test, once for both
    for name, module, inputs, blocks in held:
        for kind in ("DDP", "FSDP2"):
            if kind == "FSDP2" and name == "Names":
                continue  # `fully_shard` reads parameters as attributes; `train` is a method
            compare(kind, module, inputs, blocks, batch, mesh)
            if rank == 0:
                print(kind, name, sep="\t", flush=True)
    dist.barrier()
    dist.destroy_process_group()
    # All is compared and printed. Threads of gloo may outlive the group, and the end of the
    # interpreter then aborts now and then ("terminate called"): leave without it. What failed
    # above has raised, and ends with another code.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
