"""A planner's corpus: 35 networks as people contract them, by fixed seeds.

Each is the legs of its tensors, the legs of its output and the sizes of its indices: what every
path finder takes. None has an input or a batch, so that only the order of contraction counts.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

Legs = tuple[str, ...]
Site = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """A tensor network without data."""

    terms: tuple[Legs, ...]
    output: Legs
    sizes: Mapping[str, int]

    @property
    def source(self) -> str:
        """The network as a `.tn` file, all of its tensors trained."""
        ends = Counter(leg for legs in self.terms for leg in legs)
        kinds = {
            leg: "index" if leg in self.output else "bond" if ends[leg] == 2 else "hyper"
            for leg in ends
        }
        lines = [f"  {kinds[leg]} {leg} = {self.sizes[leg]}" for leg in ends]
        lines += [f"  tensor T{k}({', '.join(legs)})" for k, legs in enumerate(self.terms)]
        return "\n".join(["network N() {", *lines, f"  output y({', '.join(self.output)})", "}"])


def graph(
    count: int, edges: Iterable[tuple[int, int]], sizes: Sequence[int] = (2,), seed: int = 0
) -> Instance:
    """A tensor on every node and a bond on every edge, its size drawn from `sizes`."""
    rng = random.Random(seed)
    terms: list[list[str]] = [[] for _ in range(count)]
    lengths: dict[str, int] = {}
    for number, ends in enumerate(edges):
        leg = f"b{number}"
        lengths[leg] = rng.choice(sizes)
        for node in ends:
            terms[node].append(leg)
    return Instance(tuple(tuple(legs) for legs in terms if legs), (), lengths)


# ── lattices ────────────────────────────────────────────────────────────────────────────────────


def lattice(*shape: int, size: int = 2, cyclic: bool = False, diagonals: bool = False) -> Instance:
    """Sites row by row, a bond between neighbors; `cyclic` along every axis of three or more."""
    sites = list(itertools.product(*map(range, shape)))
    number = {site: k for k, site in enumerate(sites)}
    edges: list[tuple[int, int]] = []
    for site in sites:
        for step in _steps(len(shape), diagonals):
            other = tuple(place + move for place, move in zip(site, step, strict=True))
            if cyclic:
                other = tuple(
                    place % length if length > 2 else place
                    for place, length in zip(other, shape, strict=True)
                )
            if other in number:
                edges.append((number[site], number[other]))
    return graph(len(sites), edges, (size,))


def _steps(axes: int, diagonals: bool) -> Iterator[Site]:
    for axis in range(axes):
        yield tuple(int(axis == other) for other in range(axes))
    if diagonals:
        yield (1, 1)
        yield (1, -1)


def layers(rows: int, columns: int, bond: int, site: int) -> Instance:
    """The norm of a PEPS: two equal lattices, joined site by site."""
    one = lattice(rows, columns, size=bond)
    terms = [
        (*(f"{leg}{side}" for leg in legs), f"s{k}")
        for side in ("k", "b")
        for k, legs in enumerate(one.terms)
    ]
    sizes = {leg: bond if leg[0] == "b" else site for legs in terms for leg in legs}
    return Instance(tuple(terms), (), sizes)


# ── random graphs ───────────────────────────────────────────────────────────────────────────────


def regular(count: int, degree: int, seed: int, sizes: Sequence[int] = (2,)) -> Instance:
    """A random graph without loops and double edges whose nodes have `degree` neighbors each."""
    rng = random.Random(seed)
    while True:
        ends = [node for node in range(count) for _ in range(degree)]
        rng.shuffle(ends)
        pairs = list(zip(ends[::2], ends[1::2], strict=True))
        edges = _untangled(pairs, rng)
        if edges is not None:
            return graph(count, edges, sizes, seed)


def _untangled(pairs: list[tuple[int, int]], rng: random.Random) -> list[tuple[int, int]] | None:
    """The pairs with loops and double edges crossed with others until there are none."""
    for _ in range(100 * len(pairs)):
        known = Counter(frozenset(pair) for pair in pairs)
        bad = [k for k, (a, b) in enumerate(pairs) if a == b or known[frozenset((a, b))] > 1]
        if not bad:
            return sorted((min(pair), max(pair)) for pair in pairs)
        one, other = bad[0], rng.randrange(len(pairs))
        (a, b), (c, d) = pairs[one], pairs[other]
        pairs[one], pairs[other] = (a, d), (c, b)
    return None


def branching(count: int, seed: int, sizes: Sequence[int]) -> Instance:
    """A random tree: every node hangs on an earlier one."""
    rng = random.Random(seed)
    return graph(count, [(rng.randrange(node), node) for node in range(1, count)], sizes, seed)


def small_world(count: int, shortcuts: int, seed: int, sizes: Sequence[int]) -> Instance:
    """A ring with some chords."""
    rng = random.Random(seed)
    edges = {(node, node + 1) for node in range(count - 1)} | {(0, count - 1)}
    while len(edges) < count + shortcuts:
        one, other = sorted(rng.sample(range(count), 2))
        edges.add((one, other))
    return graph(count, sorted(edges), sizes, seed)


def factors(variables: int, count: int, seed: int, size: int = 2, largest: int = 4) -> Instance:
    """Factors of two to `largest` variables each: hyperedges, as in counting and inference."""
    rng = random.Random(seed)
    terms = [
        tuple(f"v{k}" for k in sorted(rng.sample(range(variables), rng.randint(2, largest))))
        for _ in range(count)
    ]
    ends = Counter(leg for legs in terms for leg in legs)
    terms = [tuple(leg for leg in legs if ends[leg] > 1) for legs in terms]
    terms = [legs for legs in terms if legs]
    return Instance(tuple(terms), (), {leg: size for legs in terms for leg in legs})


# ── chains, trees and circuits ──────────────────────────────────────────────────────────────────


def chain(count: int, sizes: Sequence[int], seed: int) -> Instance:
    """A product of matrices of random sizes, its first and last index open."""
    rng = random.Random(seed)
    lengths = {f"i{k}": rng.choice(sizes) for k in range(count + 1)}
    terms = tuple((f"i{k}", f"i{k + 1}") for k in range(count))
    return Instance(terms, ("i0", f"i{count}"), lengths)


def overlap(sites: int, bond: int, site: int, operator: int = 0) -> Instance:
    """Two matrix product states, with an operator of this bond size between them if it has any."""
    rows = [("k", bond), ("o", operator), ("b", bond)] if operator else [("k", bond), ("b", bond)]
    terms: list[Legs] = []
    for place, (row, _) in enumerate(rows):
        for k in range(sites):
            bonds = [f"{row}{n}" for n in (k - 1, k) if 0 <= n < sites - 1]
            between = [f"s{n}x{k}" for n in (place - 1, place) if 0 <= n < len(rows) - 1]
            terms.append((*bonds, *between))
    lengths = dict(rows)
    sizes = {leg: site if leg[0] == "s" else lengths[leg[0]] for legs in terms for leg in legs}
    return Instance(tuple(terms), (), sizes)


def mera(sites: int, bond: int) -> Instance:
    """A layered tree of disentanglers and isometries around its mirror image: an expected value.

    `sites` is a power of two; an operator on two neighbors stands between both halves.
    """
    terms: list[Legs] = []
    fresh = (f"m{k}" for k in itertools.count())
    ends: dict[str, list[str]] = {}
    bottom = [f"p{k}" for k in range(sites)]
    for side in ("k", "b"):
        wires = [f"{leg}{side}" if k in (0, 1) else leg for k, leg in enumerate(bottom)]
        while len(wires) > 2:
            for k in range(1, len(wires) - 1, 2):
                above = [next(fresh), next(fresh)]
                terms.append((wires[k], wires[k + 1], *above))
                wires[k : k + 2] = above
            merged = [next(fresh) for _ in wires[::2]]
            terms += [(wires[2 * k], wires[2 * k + 1], leg) for k, leg in enumerate(merged)]
            wires = merged
        terms.append((wires[0], wires[1]))
        ends[side] = wires
    terms.append(("p0k", "p1k", "p0b", "p1b"))
    return Instance(tuple(terms), (), {leg: bond for legs in terms for leg in legs})


def circuit(rows: int, columns: int, depth: int, seed: int) -> Instance:
    """An amplitude of random two-qubit gates on a grid, and one-qubit gates between them."""
    rng = random.Random(seed)
    fresh = (f"q{k}" for k in itertools.count())
    wires = {site: next(fresh) for site in itertools.product(range(rows), range(columns))}
    terms: list[Legs] = [(leg,) for leg in wires.values()]
    for layer in range(depth):
        axis, odd = layer % 2, layer // 2 % 2
        for site in sorted(wires):
            other = (site[0] + (axis == 0), site[1] + (axis == 1))
            if other in wires and site[axis] % 2 == odd:
                after = next(fresh), next(fresh)
                terms.append((wires[site], wires[other], *after))
                wires[site], wires[other] = after
            elif rng.random() < 0.5:
                terms.append((wires[site], leg := next(fresh)))
                wires[site] = leg
    terms += [(leg,) for leg in wires.values()]
    return Instance(tuple(terms), (), {leg: 2 for legs in terms for leg in legs})


CORPUS: dict[str, Callable[[], Instance]] = {
    "lattice 8 × 8": partial(lattice, 8, 8),
    "lattice 10 × 10": partial(lattice, 10, 10),
    "lattice 6 × 12, bonds of 3": partial(lattice, 6, 12, size=3),
    "lattice 4 × 20, bonds of 4": partial(lattice, 4, 20, size=4),
    "cyclic lattice 6 × 6": partial(lattice, 6, 6, cyclic=True),
    "cyclic lattice 8 × 8": partial(lattice, 8, 8, cyclic=True),
    "lattice 6 × 6 with diagonals": partial(lattice, 6, 6, diagonals=True),
    "lattice 4 × 4 × 4": partial(lattice, 4, 4, 4),
    "lattice 3 × 3 × 8": partial(lattice, 3, 3, 8),
    "lattice 4 × 4 × 7": partial(lattice, 4, 4, 7),
    "lattice 10 × 4 × 4": partial(lattice, 10, 4, 4),
    "cyclic lattice 3 × 3 × 3": partial(lattice, 3, 3, 3, cyclic=True),
    "PEPS norm 4 × 4": partial(layers, 4, 4, 2, 2),
    "PEPS norm 5 × 6": partial(layers, 5, 6, 2, 2),
    "3-regular, 30 tensors": partial(regular, 30, 3, 1),
    "3-regular, 60 tensors": partial(regular, 60, 3, 2),
    "3-regular, 100 tensors": partial(regular, 100, 3, 3),
    "3-regular, 150 tensors": partial(regular, 150, 3, 1),
    "4-regular, 40 tensors": partial(regular, 40, 4, 4),
    "4-regular, 60 tensors": partial(regular, 60, 4, 5),
    "5-regular, 30 tensors": partial(regular, 30, 5, 6),
    "3-regular, 50 tensors, bonds of 2 to 5": partial(regular, 50, 3, 7, (2, 3, 4, 5)),
    "ring of 80 with 20 chords": partial(small_world, 80, 20, 8, (2, 3)),
    "random tree of 100": partial(branching, 100, 9, (2, 3, 4, 8)),
    "random tree of 200": partial(branching, 200, 10, (2, 4)),
    "matrix chain of 12": partial(chain, 12, (2, 5, 10, 30, 50), 11),
    "matrix chain of 60": partial(chain, 60, (2, 5, 10, 30, 50), 12),
    "30 factors of 24 variables": partial(factors, 24, 30, 13),
    "60 factors of 60 variables": partial(factors, 60, 60, 14, 3, 3),
    "90 factors of 80 variables": partial(factors, 80, 90, 15, 2, 3),
    "MERA of 16 sites": partial(mera, 16, 3),
    "MERA of 32 sites": partial(mera, 32, 2),
    "MPS overlap, 60 sites": partial(overlap, 60, 16, 2),
    "MPS, MPO and MPS, 24 sites": partial(overlap, 24, 12, 2, 5),
    "circuit of 4 × 4 qubits": partial(circuit, 4, 4, 8, 16),
}
"""Every instance by name; each is made when it is asked for."""
