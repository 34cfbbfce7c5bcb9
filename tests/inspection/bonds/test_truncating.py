"""Bonds cut down: the error that is promised is that of the map, arguments follow."""

from __future__ import annotations

import pytest
import torch

import tncompile
from tests.inspection.bonds.test_bonds import made
from tests.support.library import architecture
from tncompile.inspection.bonds.resizing import arguments_for


def lost(module: torch.nn.Module, original: torch.nn.Module) -> float:
    with torch.no_grad():
        small, large = module.weight, original.weight
        return float((small - large).norm() / large.norm())  # type: ignore[operator,union-attr,arg-type]


@pytest.mark.parametrize(
    "target",
    [
        "MPO(ins = [4, 3, 4], outs = [3, 4, 4], ranks = [5, 6])",
        "HierarchicalTucker(ins = [3, 3, 3], outs = [2, 2, 2])",
        "TreeLinear(ins = [4, 4, 4], outs = [3, 3])",
        "Tucker(ins = [4, 5], outs = [5, 3])",
        "LowRank(12, 10, rank = 6)",
    ],
)
@pytest.mark.parametrize("tolerance", [0.0, 0.2, 0.5])
def test_the_error_is_what_is_promised(target: str, tolerance: float) -> None:
    arch = architecture("linear", target)
    module = made(arch)
    small = arch.truncate(module, tolerance=tolerance)
    assert lost(small.module, module) == pytest.approx(small.error, abs=1e-12)
    assert small.error <= tolerance + 1e-12
    sizes = {index.name: index.size for index in small.architecture.network.indices}
    assert all(sizes[name] == rank for name, rank in small.ranks.items())
    assert small.architecture.network.parameter_count <= arch.network.parameter_count
    x = torch.randn(2, arch.network.inputs[0].axes[-1].length or 0, dtype=torch.float64)
    assert small.module(x).shape == module(x).shape


def test_ranks_of_single_bonds() -> None:
    arch = architecture("linear", "MPO(ins = [4, 3, 4], outs = [3, 4, 4], ranks = [5, 6])")
    module = made(arch)
    small = arch.truncate(module, ranks={"b[1]": 2})
    assert small.ranks == {"b[0]": 5, "b[1]": 2}
    assert small.architecture.arguments["ranks"] == (5, 2)
    assert small.error == pytest.approx(arch.bonds(module)["b[1]"].truncation_error(2), abs=1e-12)
    assert "error" in repr(small)


def test_what_is_exactly_smaller_loses_nothing() -> None:
    arch = architecture("linear", "MPO(ins = [4, 3, 4], outs = [3, 4, 4], ranks = [5, 6])")
    module = made(arch)
    wide = architecture("linear", "MPO(ins = [4, 3, 4], outs = [3, 4, 4], ranks = [9, 11])")
    values = dict(made(wide).state_dict())
    for key, value in module.state_dict().items():
        values[key] = torch.zeros_like(values[key])
        values[key][tuple(slice(length) for length in value.shape)] = value
    large = made(wide)
    large.load_state_dict(values)
    small = wide.truncate(large, tolerance=1e-12)
    assert small.ranks == {"b[0]": 5, "b[1]": 6}
    assert small.error < 1e-12


def test_a_bias_and_the_mode_are_kept() -> None:
    arch = architecture("linear", "LowRank(12, 10, rank = 6)")
    module = arch.module(seed=0, search="fast").eval()
    small = arch.truncate(module, ranks={"r": 6})
    assert not small.module.training
    assert torch.equal(small.module.c, module.c)  # type: ignore[arg-type]
    assert next(small.module.parameters()).dtype == torch.float32


def test_what_cannot_be_truncated() -> None:
    arch = architecture("linear", "LowRank(12, 10, rank = 6)")
    module = made(arch)
    for options, words in (
        ({}, "give a tolerance, or ranks"),
        ({"tolerance": 0.1, "ranks": {"r": 2}}, "give a tolerance, or ranks"),
        ({"tolerance": 2.0}, "from 0 to 1"),
        ({"ranks": {"q": 2}}, "q is no bond"),
        ({"ranks": {"r": 0}}, "from 1 on"),
    ):
        with pytest.raises(ValueError, match=words):
            arch.truncate(module, **options)  # type: ignore[arg-type]
    ring = architecture("linear", "TensorRing(ins = [4, 4, 4], outs = [3, 3, 3])")
    with pytest.raises(ValueError, match="has loops"):
        ring.truncate(made(ring), tolerance=0.1)
    fixed = tncompile.loads(
        "network N() { index i = 4, o = 4 bond r = 4 input x(..., i) tensor A(i, r)"
        " tensor B(r, o) output y(..., o) }"
    ).instantiate()
    with pytest.raises(ValueError, match="no argument says the size of r"):
        fixed.truncate(made(fixed), ranks={"r": 2})


def test_arguments_are_found_by_trying() -> None:
    def sizes(changed: dict[str, int | tuple[int, ...]]) -> dict[str, int | None]:
        at = {"n": 4, "ranks": tuple(range(3, 30)), "share": 7, **changed}
        ranks = at["ranks"]
        assert isinstance(ranks, tuple)
        found: dict[str, int | None] = {f"b{k}": rank for k, rank in enumerate(ranks)}
        return found | {"c": at["share"], "d": at["share"], "i": at["n"]}  # type: ignore[dict-item]

    values = {"n": 4, "ranks": tuple(range(3, 30)), "share": 7, "flag": True}
    wanted = {f"b{k}": 2 for k in range(27)} | {"c": 3, "d": 5}
    assert arguments_for(values, sizes, wanted) == {"ranks": (2,) * 27, "share": 5}


def test_bonds_that_share_an_argument_are_named_together() -> None:
    text = (
        "network N(r: int = 4) { index i[k in 0..3] = 4, o[k in 0..3] = 4\n"
        "bond b[k in 0..2] = r\ninput x(..., (i[*]))\n"
        "tensor G[k in 0..3](b[k - 1]?, i[k], o[k], b[k]?)\noutput y(..., (o[*])) }"
    )
    arch = tncompile.loads(text).instantiate()
    module = arch.module(seed=0, search="fast")
    with pytest.raises(ValueError, match=r"b\[1\] too"):
        arch.truncate(module, ranks={"b[0]": 2})
    both = arch.truncate(module, ranks={"b[0]": 2, "b[1]": 3})
    assert both.ranks == {"b[0]": 3, "b[1]": 3}
