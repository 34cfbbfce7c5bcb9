"""What a bond carries: its singular values, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

import tncompile.planning.wording as wording
from tncompile.inspection.bonds.graph import graph_of
from tncompile.inspection.bonds.spectra import cut_spectrum, tree_spectra
from tncompile.notebook import Tabled
from tncompile.planning.wording import columns_text, digits_text

if TYPE_CHECKING:
    from tncompile.network.model import TensorNetwork


@dataclass(frozen=True)
class Bond:
    """A bond, or several that cut the network together, and the map across it.

    `weights` (size,), in float64, are the singular values of the map as a matrix between what is on
    either side, largest first, over its Frobenius norm, whose logarithm is `log_norm`.
    """

    names: tuple[str, ...]
    size: int
    weights: torch.Tensor
    log_norm: float

    @property
    def name(self) -> str:
        """`b[1]`, `r at U[0]`, or the names of all bonds of the cut."""
        return ", ".join(self.names)

    @property
    def singular_values(self) -> torch.Tensor:
        """(size,), largest first; infinite where the norm of the map fits no float."""
        return self.weights * torch.tensor(self.log_norm, dtype=torch.float64).exp()

    @property
    def probabilities(self) -> torch.Tensor:
        """(size,): the part of the squared norm that each singular value has."""
        return self.weights.square()

    @property
    def entropy(self) -> float:
        """−Σ p log p, in nats: 0 for a product, log(size) where all singular values are equal."""
        p = self.probabilities
        return max(0.0, float(-(p * p.clamp(min=1e-300).log()).sum()))

    @property
    def effective_rank(self) -> float:
        """exp(entropy) (Roy and Vetterli, "The effective rank", 2007)."""
        return math.exp(self.entropy)

    def truncation_error(self, rank: int) -> float:
        """‖W − W'‖ / ‖W‖ of the best W' of this rank across the bond; 0 from its size on.

        Raises ValueError for a negative rank.
        """
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 0:
            raise ValueError(f"a rank is a number from 0 on, not {rank!r}")
        return math.sqrt(max(0.0, float(self.probabilities[rank:].sum())))

    def rank_for(self, tolerance: float) -> int:
        """The smallest rank whose truncation error is no larger."""
        return next(r for r in range(self.size + 1) if self.truncation_error(r) <= tolerance)


@dataclass(frozen=True, repr=False)
class Bonds(Tabled, Mapping[str, Bond]):
    """The bonds of a network by name; it prints as a table."""

    target: str
    bonds: Mapping[str, Bond]

    def __getitem__(self, name: str) -> Bond:
        return self.bonds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.bonds)

    def __len__(self) -> int:
        return len(self.bonds)

    def table(self, width: int = wording.WIDTH) -> str:
        """A row a bond: entropy in nats, effective rank, ranks that keep 10 and 1 %."""
        rows = []
        for bond in self.bonds.values():
            largest, smallest = (float(bond.weights[k]) for k in (0, -1))
            rows.append(
                (
                    bond.name,
                    f"{bond.size:,}",
                    f"{bond.entropy:.3f}",
                    f"{math.log(bond.size):.3f}",
                    f"{bond.effective_rank:.1f}",
                    f"{bond.rank_for(0.1):,}",
                    f"{bond.rank_for(0.01):,}",
                    digits_text(largest),
                    digits_text(smallest),
                )
            )
        head = (
            *("bond", "size", "entropy", "at most", "effective rank"),
            *("10 %", "1 %", "largest", "smallest"),
        )
        return f"{wording.shortened(self.target)}\n\n{columns_text(head, rows, width, 1)}"


def bonds_of(
    network: TensorNetwork, values: Mapping[str, torch.Tensor], cut: Sequence[str] | None
) -> Bonds:
    """The bonds of a network with these parameters; with a `cut` those together alone."""
    graph = graph_of(network, values)
    if cut is not None:
        names = tuple(dict.fromkeys([cut] if isinstance(cut, str) else cut))
        tensors = [node for node in graph.nodes.values() if node.tensor is not None]
        edges = (item for node in tensors for item in node.edges.items())
        known = {
            leg for near, legs in edges if graph.nodes[near].tensor is not None for leg in legs
        }
        for name in names:
            if name not in known:
                raise ValueError(f"{name} is no bond of two tensors of {network.target}")
        size = math.prod(graph.sizes[name] for name in names)
        spectrum = cut_spectrum(graph, names)
        bond = Bond(names, size, spectrum.values, spectrum.log)
        return Bonds(network.target, {bond.name: bond})
    if graph.has_loops:
        words = f"{network.target} has loops, where no single bond cuts the map in two"
        raise ValueError(f"{words}: name all bonds of a cut, cut=[…]")
    found: dict[str, Bond] = {}
    for (one, other), spectrum in tree_spectra(graph).items():
        legs = graph.nodes[one].edges[other]
        size = math.prod(graph.sizes[leg] for leg in legs)
        for end, near in ((one, other), (other, one)):
            if graph.nodes[near].tensor is None:  # of a hyperedge: its leg at one tensor
                legs = tuple(f"{leg} at {end}" for leg in legs)
        bond = Bond(legs, size, spectrum.values, spectrum.log)
        found[bond.name] = bond
    order = {index.name: place for place, index in enumerate(network.indices)}
    by_place = sorted(found.values(), key=lambda bond: order[bond.names[0].partition(" at ")[0]])
    return Bonds(network.target, {bond.name: bond for bond in by_place})
