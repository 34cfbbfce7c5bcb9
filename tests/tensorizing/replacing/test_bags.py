"""nn.EmbeddingBag: no `embedding`, which is said; its table as a raw parameter, in all modes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.replacing.models import rewrite_text

TABLE = 'parameter "bag.weight" -> LowRank(shape[1], shape[0], rank = {}, with_bias = false)'


class Bags(nn.Module):
    def __init__(self, **options: object) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.bag = nn.EmbeddingBag(30, 8, **options)  # type: ignore[arg-type]

    def forward(self, *arguments: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.bag(*arguments)
        return out


def test_it_is_no_embedding_and_the_line_is_said() -> None:
    rewrite = tncompile.Rewrite.loads(rewrite_text('embedding "*" -> TTEmbedding(ranks = 3)'))
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.tensorize(Bags(), rewrite)
    (found,) = caught.value.diagnostics
    assert found.code.value == "TN701"
    assert "`bag` is an nn.EmbeddingBag" in str(caught.value)
    assert 'write `parameter "bag.weight"`' in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"mode": "sum"}, {"mode": "mean", "padding_idx": 3}, {"mode": "max"}], ids=str
)
def test_its_table_is_a_raw_parameter(options: dict[str, object]) -> None:
    model = Bags(**options)
    ids = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 3, 29])
    calls: list[tuple[torch.Tensor, ...]] = [(ids, torch.tensor([0, 4, 4])), (ids.view(2, 5),)]
    exact = tncompile.tensorize(model, tncompile.Rewrite.loads(rewrite_text(TABLE.format(8))))
    with torch.no_grad():
        for each in calls:
            torch.testing.assert_close(exact.model(*each), model(*each), atol=1e-5, rtol=1e-5)
        if options["mode"] == "sum":
            weighted = (ids, torch.tensor([0, 4]), torch.rand(10))
            torch.testing.assert_close(exact.model(*weighted), model(*weighted))
    small = tncompile.tensorize(model, tncompile.Rewrite.loads(rewrite_text(TABLE.format(2))))
    assert small.report.after == 2 * (30 + 8)
    small.model(*calls[0]).sum().backward()
    assert all(p.grad is not None for p in small.model.parameters())
