"""Two gloo processes train a module and must end where one process ends; run by `test_module`.

`python -m tests.distributed ddp|fsdp MEETING_FILE`
"""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from tests.modules import Subject

SUBJECTS = (
    Subject("linear", "MPO(ins = [2, 3], outs = [3, 2], ranks = 2)"),
    Subject("oddities", "Grid"),
    Subject("oddities", "Shared"),
    Subject("embedding", "TTEmbedding(rows = [3, 4], columns = [2, 3], ranks = 2)"),
)
STEPS = 3


def train(module: nn.Module, inputs: list[Tensor], part: slice) -> None:
    """Some steps of gradient descent on a part of the batch."""
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        module(*(x[part] for x in inputs)).square().mean().backward()
        optimizer.step()


def work(rank: int, kind: str, meeting: str) -> None:
    """One of two processes: half of the batch each."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    for subject in SUBJECTS:
        inputs = subject.inputs(8, dtype=torch.float64)
        alone = subject.module(torch.float64)
        train(alone, inputs, slice(0, 8))
        module = subject.module(torch.float64)
        part = slice(4 * rank, 4 * rank + 4)
        if kind == "ddp":
            train(DistributedDataParallel(module), inputs, part)
        else:
            train(fully_shard(module, mesh=mesh), inputs, part)
        held = module.state_dict()
        assert set(held) == set(alone.state_dict())
        for key, due in alone.state_dict().items():
            value = held[key]
            made = value.full_tensor() if hasattr(value, "full_tensor") else value
            torch.testing.assert_close(made, due, msg=f"{subject}, {key}")
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, args=(sys.argv[1], sys.argv[2]), nprocs=2)
