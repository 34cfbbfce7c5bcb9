"""Manners at the sizes that people use, and of networks whose equal steps run together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch._inductor.config

from tests.support.capabilities import SIZED, Capability
from tests.support.capabilities.sizes import alike, inputs_of, step
from tests.support.modules import STANDARD, Subject
from tests.support.sizes import LISTED, USED
from tests.support.table import Table

TABLE = Path(__file__).parents[2] / "docs" / "modules.md"

TRIED = [
    pytest.param(subject, capability, id=f"{subject.target}-{capability}")
    for subject in USED
    for capability in SIZED
]


@pytest.mark.parametrize(("subject", "capability"), TRIED)
def test_manner(subject: Subject, capability: Capability, request: pytest.FixtureRequest) -> None:
    assert capability.check is not None
    finding = capability.check(subject)
    if subject not in LISTED:
        return
    if request.config.getoption("--update-golden"):
        Table.write(TABLE, subject.target, capability.title, finding)
    held = Table.read(TABLE).cells.get((subject.target, capability.title))
    assert held == finding, "docs/modules.md says otherwise: --update-golden"


def test_every_block_is_tried() -> None:
    blocks = {target.split("(")[0] for targets in STANDARD.values() for target in targets}
    assert {str(subject) for subject in LISTED} == blocks


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.* is deprecated")
def test_inductor_computes_the_same() -> None:
    subject = next(one for one in USED if one.target == "TreeClassifier()")
    torch._dynamo.reset()
    module = subject.module(torch.float64)
    made = torch.compile(module, fullgraph=True, dynamic=True)
    with torch._inductor.config.patch(compile_threads=1):  # more would import torch once each
        for batch in (19, 4):
            ours = step(module, made, inputs_of(subject, batch))
            alike(ours, step(module, module, inputs_of(subject, batch)))


@pytest.mark.parametrize("target", ["Chain()", "Ring(n = 80)", "Frozen()"])
def test_parametrized_members_are_read_as_they_are_parametrized(target: str) -> None:
    """A member that is computed is read so, in a run of others too, and by a compiler."""

    class Doubled(torch.nn.Module):
        def forward(self, tensor: torch.Tensor) -> torch.Tensor:
            return 2 * tensor

    subject = next(one for one in USED if one.target == target)
    module = subject.module(torch.float64)
    family = module.A if hasattr(module, "A") else module.G
    inputs = inputs_of(subject, 3)
    due = 2 * module(*inputs)
    torch.nn.utils.parametrize.register_parametrization(family, "4", Doubled())
    alike(module(*inputs), due)
    torch._dynamo.reset()
    alike(torch.compile(module, fullgraph=True, backend="eager")(*inputs), due)
