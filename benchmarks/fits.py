"""Weights onto networks beside tensorly and quimb: relative errors and seconds, on one thread.

python -m benchmarks.fits WEIGHTS.safetensors NAME, for a matrix of 384 × 384 (that of MiniLM's
`encoder.layer.2.attention.self.value.weight`, say); without arguments one of random numbers.
Times are those of the thread, medians of `REPEATS` runs.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import quimb.tensor as qtn
import tensorly
import torch
from tensorly.decomposition import parafac, tensor_ring_als, tensor_train, tucker

import tncompile

REPEATS = 3
SHAPE = ((4, 4, 4, 6), (6, 4, 4, 4))
SITES = tuple(i * o for i, o in zip(*SHAPE, strict=True))
WIDE = ((6, 8, 8), (8, 6, 8))
RING, TRAIN, TERMS, CORE = 10, 16, 32, 4


def weight(arguments: list[str]) -> torch.Tensor:
    """The matrix in float64."""
    if not arguments:
        return torch.randn(
            384, 384, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
    from safetensors import safe_open

    path, name = arguments
    with safe_open(path, framework="pt") as stored:
        return stored.get_tensor(name).double()


def architectures() -> dict[str, tncompile.Architecture]:
    """What is fitted onto, by name."""
    library = tncompile.load("std/linear.tn")

    def made(
        block: str, shape: tuple[tuple[int, ...], ...], **ranks: int
    ) -> tncompile.Architecture:
        return library.instantiate(block, ins=shape[0], outs=shape[1], with_bias=False, **ranks)

    return {
        f"train, rank {TRAIN}": made("MPO", SHAPE, ranks=TRAIN),
        f"ring, rank {RING}": made("TensorRing", SHAPE, ranks=RING),
        f"Tucker, {CORE}": made("Tucker", WIDE, in_ranks=CORE, out_ranks=CORE),
        f"CP, rank {TERMS}": made("CP", WIDE, rank=TERMS),
    }


def as_sites(given: torch.Tensor) -> np.ndarray:
    """(out, in) as one axis a site of SHAPE."""
    ins, outs = SHAPE
    count = len(ins)
    split = given.reshape(*outs, *ins)
    order = [axis for k in range(count) for axis in (count + k, k)]
    return split.permute(order).reshape(SITES).numpy()


def as_legs(given: torch.Tensor) -> np.ndarray:
    """(out, in) as one axis a leg of WIDE."""
    return given.reshape(*WIDE[1], *WIDE[0]).numpy()


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def train_of_tensorly(given: torch.Tensor) -> float:
    sites = as_sites(given)
    return off(tensor_train(sites, [1, TRAIN, TRAIN, TRAIN, 1]).to_tensor(), sites)


def ring_of_tensorly(given: torch.Tensor) -> float:
    sites = as_sites(given)
    found = tensor_ring_als(
        sites, [RING] * (len(SITES) + 1), random_state=0, n_iter_max=30, tol=1e-7
    )
    return off(found.to_tensor(), sites)


def core_of_tensorly(given: torch.Tensor) -> float:
    legs = as_legs(given)
    return off(tensorly.tucker_to_tensor(tucker(legs, [CORE] * legs.ndim)), legs)


def terms_of_tensorly(given: torch.Tensor) -> float:
    legs = as_legs(given)
    found = parafac(legs, TERMS, init="random", random_state=0, n_iter_max=200)
    return off(tensorly.cp_to_tensor(found), legs)


def of_quimb(guess: Callable[[], qtn.TensorNetwork]) -> Callable[[torch.Tensor], float]:
    """Quimb's alternating least squares, from a start."""

    def run(given: torch.Tensor) -> float:
        sites = as_sites(given)
        names = [f"k{k}" for k in range(sites.ndim)]
        target = qtn.TensorNetwork([qtn.Tensor(sites, names)])
        found = guess().fit(target, method="als", steps=30, progbar=False, tol=1e-7)
        return off(found.contract(output_inds=names).data, sites)

    return run


def random_network(rank: int, *, ring: bool) -> qtn.TensorNetwork:
    """A train or a ring of random tensors over the sites."""
    generator, count = np.random.default_rng(0), len(SITES)
    tensors = []
    for k, size in enumerate(SITES):
        legs = [(f"k{k}", size)]
        if ring or k > 0:
            legs.append((f"b{k}", rank))
        if ring or k < count - 1:
            legs.append((f"b{(k + 1) % count}", rank))
        data = generator.standard_normal([length for _, length in legs])
        tensors.append(qtn.Tensor(data / np.linalg.norm(data), [name for name, _ in legs]))
    return qtn.TensorNetwork(tensors)


Contender = Callable[[torch.Tensor], float]


def others() -> Iterator[tuple[str, str, Contender]]:
    """The network, whose it is, and what gives its error."""
    yield f"train, rank {TRAIN}", "tensorly", train_of_tensorly
    yield f"train, rank {TRAIN}", "quimb", of_quimb(lambda: random_network(TRAIN, ring=False))
    yield f"ring, rank {RING}", "tensorly", ring_of_tensorly
    yield f"ring, rank {RING}", "quimb", of_quimb(lambda: random_network(RING, ring=True))
    yield f"Tucker, {CORE}", "tensorly", core_of_tensorly
    yield f"CP, rank {TERMS}", "tensorly", terms_of_tensorly


def main() -> None:
    """A line a contender: the error of the weight, then that of a weight that the network has."""
    torch.set_num_threads(1)
    given = weight(sys.argv[1:])
    for name, arch in architectures().items():
        own = arch.module(dtype=torch.float64, seed=1, search="fast").weight.detach()
        contenders = [("tncompile", lambda target, arch=arch: arch.fit(target).error)]
        contenders += [(whose, contender) for n, whose, contender in others() if n == name]
        for whose, contender in contenders:
            line = f"{name:16} {whose:10}"
            for target in (given, own):
                seconds, error = [], 0.0
                for _ in range(REPEATS):
                    start = time.thread_time()
                    error = contender(target)
                    seconds.append(time.thread_time() - start)
                line += f"  {error:9.2e} {statistics.median(seconds):7.2f} s"
            print(line, flush=True)


if __name__ == "__main__":
    main()
