"""Alternating least squares: each factor in turn is the best one beside the others.

The normal equations come from the doubled network, the product without the factor times its
conjugate (Kolda and Bader, "Tensor Decompositions and Applications", 2009; Wang, Aggarwal and
Aeron, "Efficient Low Rank Tensor Ring Completion", 2017). Parts of it that only the factor joins
are matrices of their own, whose Kronecker product is never made: in networks without loops they
are as small as the bonds. Open legs of the factor that no other carries are right-hand sides, those
that others carry too are batches. A proximal term keeps singular systems solvable and steps short
(Li, Kindermann and Navasca, "Some convergence results on the regularized ALS method", 2013).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tncompile.tensorizing.fitting.products.environments import (
    Legs,
    Plan,
    Term,
    contract,
    pairs,
    planned,
)
from tncompile.tensorizing.fitting.products.product import Product, Values
from tncompile.tensorizing.fitting.products.trees import Environments, Node, Pieces, tree
from tncompile.tensorizing.fitting.refining.normal import PRIME, Grams, grams, primed
from tncompile.tensorizing.fitting.refining.systems import (
    MOST_STEPS,
    conjugate_gradients,
    inverse,
    mean_of,
    shift_of,
)

PER_ENTRY = 50
"""How many multiply-adds an entry of the largest tensor counts as: it is written and read."""

MOST_ENTRIES = 2**26
"""Entries that a tensor of doubled factors has at most, 0.5 GB: a core of 280 × 136 × 2 times
itself has 2³⁰. Beyond that environments are of both copies one by one."""

ROUGH = 1e-6
"""What is added to the diagonal of a preconditioner, in units of its mean."""


class Sweeps:
    """Sweeps over the parameters of one product, each of them linear in the result.

    Constants that close the product, roots of a metric, are contracted with the target ahead, and
    are in the normal equations by their products with themselves. `multiply_adds` are about those
    of a sweep.
    """

    def __init__(self, product: Product) -> None:
        self.product = product
        self._sizes = dict(product.sizes)
        self._sizes |= {leg + PRIME: size for leg, size in product.sizes.items()}
        self._moments = _closing(product, self._sizes)
        self._bare = [k for k in range(len(product.factors)) if k not in self._moments]
        self._legs = {k: product.factors[k].legs for k in self._bare}
        closed = {leg for k in self._moments for leg in product.factors[k].legs}
        carried = {leg for legs in self._legs.values() for leg in legs}
        self._open = frozenset((product.open_set | closed) & carried)
        self._order = tuple(sorted(self._open))
        self._doublings = {k: self._doubling(k) for k in self._bare}
        self._root, self._once, self._twice = self._environments()
        self._systems = {
            node.places[0]: self._system(node)
            for node in self._root.below()
            if not node.children and node.places[0] in product.free
        }
        twice = self._twice.multiply_adds if self._twice else 0
        self.multiply_adds = self._once.multiply_adds + twice
        self.multiply_adds += sum(each.multiply_adds for each in self._systems.values())

    @property
    def order(self) -> tuple[int, ...]:
        """The places of the factors as a sweep forward comes to them."""
        return tuple(node.places[0] for node in self._root.below() if not node.children)

    def begin(self, values: Values) -> None:
        """Sweep on from these parameters."""
        terms = self.product.terms(values)
        self._once.fill({k: terms[k][0].conj() for k in self._bare})
        if self._twice is not None:
            self._twice.fill({k: self._doubled(k, terms[k][0]) for k in self._bare})

    def sweep(
        self, target: torch.Tensor, values: Values, damping: float, *, backward: bool
    ) -> None:
        """Put a better tensor in the place of each parameter, one after the other."""
        closing: list[Term] = [(target, self.product.open)]
        for place in self._moments:
            constant, legs = self.product.term(place, values)
            closing.append((constant.conj(), legs))
        self._once.begin([contract(closing, self._order, self.product.sizes)])
        if self._twice is not None:
            self._twice.begin([])
        self._walk(self._root, values, damping, backward)

    def _walk(self, node: Node, values: Values, damping: float, backward: bool) -> None:
        layers = [self._once] if self._twice is None else [self._once, self._twice]
        if not node.children and node.places[0] in self._systems:
            place = node.places[0]
            tensor = self._update(node, values, damping)
            self.product.store(values, place, tensor)
            self._once.put(node, tensor.conj())
            if self._twice is not None:
                self._twice.put(node, self._doubled(place, tensor))
        for child in node.children[::-1] if backward else node.children:
            for layer in layers:
                layer.descend(node, child)
            self._walk(child, values, damping, backward)
        if node.children:
            for layer in layers:
                layer.ascend(node)

    def turn(self, values: Values, *, rough: float) -> Callable[[Values], Values]:
        """Gradients times the inverse of the normal matrix of each parameter at these values.

        `rough` is added to their diagonals, in units of the mean.

        A parameter whose matrix is too large stays as it is. Of a product with roots of a metric
        the matrices are those without it.
        """
        if self._twice is None:
            return dict
        terms = self.product.terms(values)
        self._twice.fill({k: self._doubled(k, terms[k][0]) for k in self._bare})
        self._twice.begin([])
        inverses: dict[int, Callable[[torch.Tensor], torch.Tensor]] = {}
        self._visit(self._root, inverses, rough)

        def turned(gradients: Values) -> Values:
            found = dict(gradients)
            for place, inverted in inverses.items():
                tensor, _ = self.product.term(place, gradients)
                self.product.store(found, place, inverted(tensor))
            return found

        return turned

    def _visit(
        self,
        node: Node,
        inverses: dict[int, Callable[[torch.Tensor], torch.Tensor]],
        rough: float,
    ) -> None:
        assert self._twice is not None
        place = node.places[0]
        if not node.children and place in self._systems:
            system = self._systems[place]
            if system.near and system.grams is not None and system.grams.parts:
                inverses[place] = _inverse(system.grams, self._twice.around(node), rough)
        for child in node.children:
            self._twice.descend(node, child)
            self._visit(child, inverses, rough)

    def _update(self, leaf: Node, values: Values, damping: float) -> torch.Tensor:
        """The minimum over one factor of the distance, and `damping` times that from the old."""
        system = self._systems[leaf.places[0]]
        wanted = system.wanted(self._once.around(leaf))
        terms = self.product.terms(values)
        old = terms[leaf.places[0]][0]
        around = [] if self._twice is None else self._twice.around(leaf)
        if system.iterated is not None:
            return self._iterated(system, terms, around, wanted, old, damping)
        assert system.grams is not None
        if not system.grams.parts:
            return wanted
        made = system.grams(around if system.near else self._copies(terms, leaf.places[0]))
        shift = shift_of(mean_of(made), damping)
        split = system.grams.layout.split
        return system.grams.layout.whole(inverse(made, shift)(split(wanted) + shift * split(old)))

    def _iterated(
        self,
        system: _System,
        terms: list[Term],
        around: Pieces,
        wanted: torch.Tensor,
        old: torch.Tensor,
        damping: float,
    ) -> torch.Tensor:
        """The same by conjugate gradients, without the matrix."""
        assert system.iterated is not None
        plan = system.iterated
        others = [piece.conj() for piece in self._copies(terms, system.place)]

        def applied(tensor: torch.Tensor) -> torch.Tensor:
            return plan([tensor, *others])

        image = applied(old)
        size = float(old.abs().square().sum())
        scale = float((old.conj() * image).sum().real) / max(size, 1e-300)
        shift = shift_of(scale, damping)
        rough = _inverse(system.grams, around, ROUGH) if system.grams is not None else torch.clone
        return old + conjugate_gradients(
            lambda tensor: applied(tensor) + shift * tensor, rough, wanted - image
        )

    def _doubling(self, place: int) -> tuple[Plan, Legs]:
        """A factor times its conjugate, summed over open legs that no other carries."""
        legs = self._legs[place]
        others = {leg for k in self._bare if k != place for leg in self._legs[k]}
        kept = [leg for leg in legs if leg not in self._open or leg in others]
        result = tuple(dict.fromkeys((*kept, *primed(kept, self._open))))
        return planned([legs, primed(legs, self._open)], result, self._sizes), result

    def _doubled(self, place: int, tensor: torch.Tensor) -> torch.Tensor:
        return self._doublings[place][0]([tensor.conj(), tensor])

    def _environments(self) -> tuple[Node, Environments, Environments | None]:
        """Under the cheaper of two trees: that of the product, and that of the doubled one."""
        doubles = {k: self._doublings[k][1] for k in self._bare}

        def outside(places: tuple[int, ...]) -> set[str]:
            return {leg for k in self._bare if k not in places for leg in self._legs[k]}

        def kept_once(places: tuple[int, ...]) -> set[str]:
            inside = {leg for k in places for leg in self._legs[k]}
            return inside & (outside(places) | self._open)

        def kept_twice(places: tuple[int, ...]) -> set[str]:
            both = {leg for k in places for leg in self._legs[k]} & outside(places)
            return both | {leg + PRIME for leg in both - self._open}

        found: list[tuple[Node, Environments, Environments | None]] = []
        for terms, output in ((self._legs, self._order), (doubles, ())):
            order = pairs([terms[k] for k in self._bare], output, self._sizes)
            root = tree(self._bare, order)
            once = Environments(root, self._legs, [self._order], kept_once, self._sizes)
            found.append((root, once, Environments(root, doubles, [], kept_twice, self._sizes)))
        root, once, _ = min(found, key=lambda each: each[1].multiply_adds)
        alone = sum(self._far(place).multiply_adds for place in self.product.free)
        found.append((root, once, None))

        def cost(each: tuple[Node, Environments, Environments | None]) -> int:
            _, one, two = each
            price = alone if two is None else two.multiply_adds + PER_ENTRY * two.largest
            return one.multiply_adds + price

        leaf = max(math.prod(self._sizes[leg] for leg in legs) for legs in doubles.values())
        small = [
            each for each in found if each[2] is None or max(leaf, each[2].largest) <= MOST_ENTRIES
        ]
        return min(small, key=cost)

    def _far(self, place: int) -> Grams:
        """The normal matrices from both copies of all other factors."""
        copies, owners = self._copied(place)
        return grams(copies, owners, self._legs[place], self.product.open_set, self._sizes)

    def _system(self, leaf: Node) -> _System:
        """How the equations of a factor are made and solved."""
        (place,) = leaf.places
        legs = self._legs[place]
        wanted = planned(self._once.legs[leaf.number], legs, self._sizes)
        near: Grams | None = None
        if self._twice is not None:
            pieces = self._twice.legs[leaf.number]
            near = grams(pieces, range(len(pieces)), legs, self._open, self._sizes)
            near = near if near.direct else None
        if near is not None and not self._moments:
            return _System(place, wanted, near, True, None, near.multiply_adds)
        far = self._far(place)
        copies, _ = self._copied(place)
        result = primed(legs, self.product.open_set)
        plan = planned([legs, *copies], result, self._sizes)
        iterated = (MOST_STEPS + 1) * plan.multiply_adds
        if far.direct and far.multiply_adds <= iterated:
            return _System(place, wanted, far, False, None, far.multiply_adds)
        return _System(place, wanted, near, True, plan, iterated)

    def _copied(self, place: int) -> tuple[list[Legs], list[int]]:
        """The legs of both copies of all other factors, and whose they are."""
        legs: list[Legs] = []
        owners: list[int] = []
        for k, factor in enumerate(self.product.factors):
            if k == place:
                continue
            both = [factor.legs, primed(factor.legs, self.product.open_set)]
            legs += [self._moments[k][1]] if k in self._moments else both
            owners += [k] * (1 if k in self._moments else 2)
        return legs, owners

    def _copies(self, terms: list[Term], place: int) -> Pieces:
        """Both copies of all other factors; the first is conjugated."""
        pieces: Pieces = []
        for k, (tensor, _) in enumerate(terms):
            if k != place:
                moment = self._moments.get(k)
                pieces += [tensor.conj(), tensor] if moment is None else [moment[0]]
        return pieces


def _inverse(
    system: Grams, around: Pieces, damping: float
) -> Callable[[torch.Tensor], torch.Tensor]:
    """About the inverse of a normal matrix, on tensors of the shape of the factor."""
    if not system.parts:
        return torch.clone
    made = system(around)
    rough = inverse(made, shift_of(mean_of(made), damping))
    return lambda tensor: system.layout.whole(rough(system.layout.split(tensor)))


@dataclass(frozen=True)
class _System:
    """The equations of one factor."""

    place: int
    wanted: Plan
    grams: Grams | None  # for conjugate gradients those of a preconditioner
    near: bool  # whether they are made of what the tree has around the factor
    iterated: Plan | None  # the product with the matrix
    multiply_adds: int


def _closing(product: Product, sizes: dict[str, int]) -> dict[int, Term]:
    """Constants with open legs that they alone carry, times their conjugates, by place."""
    ends = Counter(leg for factor in product.factors for leg in factor.legs)
    moments: dict[int, Term] = {}
    for place, factor in enumerate(product.factors):
        own = [leg for leg in factor.legs if leg in product.open_set and ends[leg] == 1]
        if factor.constant is None or not own:
            continue
        kept = tuple(leg for leg in factor.legs if leg not in own)
        if not product.open_set.isdisjoint(kept):
            continue
        second = tuple(leg + PRIME if leg in kept else leg for leg in factor.legs)
        result = (*kept, *(leg + PRIME for leg in kept))
        pair = [(factor.constant.conj(), factor.legs), (factor.constant, second)]
        moments[place] = contract(pair, result, sizes), result
    return moments
