"""The standard library: every block against the sum of products written out, and how it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import opt_einsum
import pytest
import torch
from torch import Tensor, nn

import tncompile
from tests.std import matrices
from tests.support.library import architecture, library, name, shape_of_inputs
from tncompile.network.model import TensorNetwork
from tncompile.network.verifying import verify_network

STD = Path(tncompile.__file__).parent / "std"


FILES = ("linear", "embedding", "classifier")


@dataclass(frozen=True)
class Case:
    """A target, the view of each input without its batch axis, and the einsum of it all.

    The equation's operands are the inputs (slice by slice where `slices`) and then the parameters
    in the order of their declaration, `c`, the bias, left out. The batch axis is `z`.
    """

    file: str
    target: str
    view: tuple[tuple[int, ...], ...]
    equation: str
    slices: bool = False


CASES = (
    Case("linear", "LowRank(12, 10, rank = 3)", ((12,),), "zi,ir,ro->zo"),
    Case(
        "linear",
        "MPO(ins = [2, 3, 2], outs = [2, 2, 3], ranks = [2, 3])",
        ((2, 3, 2),),
        "zabc,adr,rbes,scf->zdef",
    ),
    Case(
        "linear",
        "MPO(ins = [4, 3], outs = [2, 2, 3], ranks = 3, with_bias = false)",
        ((4, 3),),
        "zab,adr,rbes,sf->zdef",
    ),
    Case("linear", "MPO(ins = [4, 3, 2], outs = [5])", ((4, 3, 2),), "zabc,adr,rbs,sc->zd"),
    Case("linear", "MPO(ins = [4], outs = [5])", ((4,),), "za,ad->zd"),
    Case(
        "linear",
        "TensorRing(ins = [2, 3, 2], outs = [2, 2, 3], ranks = [2, 3, 4])",
        ((2, 3, 2),),
        "zabc,radt,tbeu,ucfr->zdef",
    ),
    Case("linear", "TensorRing(ins = [6], outs = [2, 4])", ((6,),), "za,rads,ser->zde"),
    Case(
        "linear",
        "Tucker(ins = [5, 3], outs = [7], in_ranks = [2, 4])",
        ((5, 3),),
        "zab,ap,bq,pqs,sd->zd",
    ),
    Case(
        "linear",
        "CP(ins = [5, 3], outs = [2, 3, 2], rank = 7)",
        ((5, 3),),
        "zab,ar,br,dr,er,fr->zdef",
    ),
    Case("linear", "CP(ins = [5], outs = [4], rank = 3)", ((5,),), "za,ar,dr->zd"),
    Case(
        "linear",
        "BlockTerm(ins = [5, 3], outs = [2, 4], terms = 3, ranks = [2, 3])",
        ((5, 3),),
        "zab,tadp,tbeq,tpq->zde",
    ),
    Case("linear", "BlockTerm(ins = [6], outs = [2, 4])", ((6,),), "za,tadp,teq,tpq->zde"),
    Case("linear", "KroneckerSum(ins = [5, 3], outs = [2, 4])", ((5, 3),), "zab,t,tad,tbe->zde"),
    Case("linear", "KroneckerSum(ins = [6], outs = [2, 4])", ((6,),), "za,t,tad,te->zde"),
    Case("linear", "BTT(ins = [3, 4], outs = [5, 2])", ((3, 4),), "zab,aber,erad->zde"),
    Case("linear", "Monarch(ins = [3, 4], outs = [5, 2])", ((3, 4),), "zab,abe,ead->zde"),
    Case(
        "linear",
        "HierarchicalTucker(ins = [2, 3, 2], outs = [2, 2, 3], rank = 3)",
        ((2, 3, 2),),
        "zabc,adp,beq,cfr,pqs,rt,st->zdef",
    ),
    Case("linear", "HierarchicalTucker(ins = [4], outs = [5])", ((4,),), "za,ad->zd"),
    Case("linear", "HierarchicalTucker(ins = [4], outs = [2, 3])", ((4,),), "za,adp,eq,pq->zde"),
    Case(
        "linear",
        "TreeLinear(ins = [4, 3], outs = [2, 2, 3], rank = 3)",
        ((4, 3),),
        "zab,ap,bq,pqr,rs,tuv,wx,stw,ud,ve,xf->zdef",
    ),
    Case("linear", "TreeLinear(ins = [4], outs = [5])", ((4,),), "za,ap,pq,qd->zd"),
    Case("linear", "BilinearTN(4, 5, 3, rank = 2)", ((4,), (5,)), "zi,zj,ip,jq,pqr,ro->zo"),
    Case(
        "linear",
        "TensorContraction(ins = [4, 5, 3], outs = [2, 3, 4])",
        ((4, 5, 3),),
        "zabc,ad,be,cf->zdef",
    ),
    Case("linear", "TensorContraction(ins = [4], outs = [3])", ((4,),), "za,ad->zd"),
    Case(
        "linear",
        "TensorRegression(ins = [4, 5, 3], out_features = 6, in_ranks = [2, 3, 2], out_rank = 4)",
        ((4, 5, 3),),
        "zabc,ap,bq,cr,pqrs,so->zo",
    ),
    Case(
        "linear",
        "TensorRegression(ins = [3, 2], out_features = 4)",
        ((3, 2),),
        "zab,ap,bq,pqs,so->zo",
    ),
    Case(
        "classifier",
        "MPSClassifier(sites = 4, rank = 3, classes = 3)",
        ((4, 2),),
        "za,zb,zc,zd,ai,ibj,jlm,mcn,nd->zl",
        slices=True,
    ),
    Case(
        "classifier",
        "TreeClassifier(sites = 3, features = 2, rank = 3, classes = 3)",
        ((3, 2),),
        "za,zb,zc,abi,cj,ijk,kl->zl",
        slices=True,
    ),
    Case(
        "classifier",
        "PEPSClassifier(rows = 2, columns = 2, rank = 3, classes = 3)",
        ((4, 2),),
        "za,zb,zc,zd,ahv,bhw,ckv,dkwl->zl",
        slices=True,
    ),
    Case(
        "classifier",
        "MERAClassifier(sites = 4, rank = 3, classes = 3)",
        ((4, 2),),
        "za,zb,zc,zd,bcfg,dahe,jilk,efi,ghj,klm,mn->zn",
        slices=True,
    ),
)


def blocks() -> list[tuple[str, str]]:
    """File and name of every block."""
    return [(file, block) for file in FILES for block in library(file).blocks]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.target)
def test_block_is_its_sum_of_products(case: Case) -> None:
    made = architecture(case.file, case.target)
    module = made.module(dtype=torch.float64, seed=0)
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data = torch.randn(
            parameter.shape, generator=generator, dtype=torch.float64, requires_grad=True
        )
    xs = [torch.randn(6, *view, generator=generator, dtype=torch.float64) for view in case.view]
    shapes = shape_of_inputs(made.network)
    result = module(*(x.reshape(6, *shape) for x, shape in zip(xs, shapes, strict=True)))
    given: list[Tensor] = list(xs[0].unbind(1)) if case.slices else xs
    state = module.state_dict()
    weights = [state[held.key] for held in made.network.parameters if held.key != "c"]
    expected = opt_einsum.contract(case.equation, *given, *weights).reshape(6, -1)
    if "c" in state:
        expected = expected + state["c"].reshape(-1)
    expected = expected.reshape(result.shape)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.target)
def test_block_is_sound_and_without_warnings(case: Case) -> None:
    made = architecture(case.file, case.target)
    assert made.warnings == ()
    assert list(verify_network(made.network)) == []
    assert TensorNetwork.from_json(made.network.to_json()) == made.network


def test_every_block_is_tested_and_names_its_paper() -> None:
    offered = blocks()
    tested = {name(case.target) for case in (*CASES, *matrices.CASES)} | {"TTEmbedding"}
    assert {block for _, block in offered} == tested
    for file, block in offered:
        doc = library(file).blocks[block].doc
        assert doc is not None
        assert "arXiv:" in doc, block


@pytest.mark.parametrize("file", [path.stem for path in sorted(STD.glob("*.tn"))])
def test_files_are_formatted_and_without_warnings(file: str) -> None:
    path = STD / f"{file}.tn"
    spec = tncompile.load(path)
    assert spec.warnings == ()
    assert spec.describe() == path.read_text(encoding="utf-8")
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 100


@pytest.mark.parametrize(
    "target",
    ["MPSClassifier", "TreeClassifier", "PEPSClassifier", "MERAClassifier"],
)
def test_classifiers_have_defaults(target: str) -> None:
    made = architecture("classifier", target)
    assert made.warnings == ()
    shape = shape_of_inputs(made.network)[0]
    module = made.module(search="fast", seed=0)  # test_sizes.py plans them as users do
    assert module(torch.rand(3, *shape)).shape == (3, 10)


# ── widths ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "target",
    [
        "MPO(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
        "TensorRing(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
        "Tucker(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
        "CP(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
        "BlockTerm(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
        "KroneckerSum(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
        "BTT(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
        "Monarch(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
        "HierarchicalTucker(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
        "TreeLinear(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)",
    ],
    ids=name,
)
def test_any_width_is_a_cut_of_the_whole(target: str) -> None:
    whole = architecture("linear", f"{target.split(', inputs')[0]})").module(search="fast", seed=0)
    cut = architecture("linear", target).module(search="fast", seed=1)
    cut.load_state_dict(whole.state_dict())
    x = torch.randn(4, 10)
    expected = whole(nn.functional.pad(x, (0, 2)))[:, :13]
    torch.testing.assert_close(cut(x), expected, rtol=1e-4, atol=1e-5)


def test_widths_come_from_factor() -> None:
    made = architecture("linear", "MPO(ins = factor(768, 3), outs = factor(3072, 3), ranks = 16)")
    assert made.module(seed=0)(torch.randn(2, 768)).shape == (2, 3072)


def test_an_embedding_of_any_number_of_words() -> None:
    made = architecture(
        "embedding",
        "TTEmbedding(rows = [30, 32, 32], columns = [8, 6, 8], ranks = 8, words = 30522)",
    )
    module = made.module(seed=0)
    assert module(torch.tensor([[0, 30521], [5, 6]])).shape == (2, 2, 384)
    with pytest.raises(IndexError, match="ids"):
        module(torch.tensor([30522]))


@pytest.mark.parametrize(
    ("words", "arguments", "equation"),
    [
        (12, "rows = [3, 4], columns = [2, 5], ranks = 3", "aer,rbf->abef"),
        (24, "rows = [3, 4, 2], columns = [5], ranks = [2, 3]", "aer,rbs,sc->abce"),
    ],
)
def test_an_embedding_is_its_table(words: int, arguments: str, equation: str) -> None:
    made = architecture("embedding", f"TTEmbedding({arguments})")
    assert made.warnings == ()
    assert list(verify_network(made.network)) == []
    module = made.module(dtype=torch.float64, seed=0)
    table = opt_einsum.contract(equation, *module.state_dict().values()).reshape(words, -1)
    torch.testing.assert_close(module(torch.arange(words)), table, rtol=1e-10, atol=1e-12)
