"""Manners of whole models: transforms, compilers and processes of torch take them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch._inductor.config

from tests.support.capabilities import close
from tests.support.capabilities.models import MODEL_CAPABILITIES, ModelCapability
from tests.support.model_subjects import MODELS, ModelSubject
from tests.support.processes import trained_by_two
from tests.support.table import Table

TABLE = Path(__file__).parents[2] / "docs" / "modules.md"

Hold = Callable[[ModelSubject, str, str], None]

TRIED = [
    pytest.param(subject, capability, id=f"{capability}-{subject}")
    for capability in MODEL_CAPABILITIES
    for subject in MODELS
    if capability.check is not None
]


@pytest.fixture
def hold(request: pytest.FixtureRequest) -> Hold:
    """`hold(subject, title, finding)`: what was found stands in the table of the documentation."""

    def compare(subject: ModelSubject, title: str, finding: str) -> None:
        if request.config.getoption("--update-golden"):
            Table.write(TABLE, str(subject), title, finding)
        held = Table.read(TABLE).cells.get((str(subject), title))
        assert held == finding, "docs/modules.md says otherwise: --update-golden"

    return compare


@pytest.mark.parametrize(("subject", "capability"), TRIED)
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.* is deprecated")
@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated")
@pytest.mark.filterwarnings("ignore:There is a performance drop because we have not yet")
def test_manner(subject: ModelSubject, capability: ModelCapability, hold: Hold) -> None:
    assert capability.check is not None
    hold(subject, capability.title, capability.check(subject))


def test_two_processes_train_as_one(tmp_path: Path, hold: Hold) -> None:
    batch = 4
    held = [
        (
            str(one),
            one.module(torch.float64),
            one.inputs(torch.float64, {"b": batch}),
            () if one.tied else one.blocks,
        )
        for one in MODELS
    ]
    done = trained_by_two(batch, held, tmp_path)
    for title in ("DDP", "FSDP2"):
        for subject in MODELS:
            assert (title, str(subject)) in done
            hold(subject, title, "equal")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.* is deprecated")
@pytest.mark.parametrize("block", ["LoRALinear", "TopK"])
def test_inductor_computes_the_same(block: str) -> None:
    torch._dynamo.reset()
    subject = next(one for one in MODELS if str(one) == block)
    module, inputs = subject.module(), subject.inputs()
    with torch._inductor.config.patch(compile_threads=1):  # more would import torch once each
        made = torch.compile(module, fullgraph=True, dynamic=True)
        close(made(*inputs), module(*inputs))
