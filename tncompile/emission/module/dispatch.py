"""Which program `forward` runs: distinct ones become methods, chosen by mode and batch size."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from tncompile.emission.text.identifiers import batch_name
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.program.program import TensorProgram
from tncompile.program.rewriting import fingerprint
from tncompile.program.variants import Branch, Repeats


@dataclass(frozen=True, slots=True)
class Option:
    """A branch as it is emitted; `origin` is its program as planned, before anything was folded."""

    program: TensorProgram
    origin: TensorProgram
    up_to: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """Batches above one size and up to another (None: all larger ones), for which one method is.

    `method` is its number among all methods; the reason says why it is the choice.
    """

    method: int
    above: int
    up_to: int | None
    reason: str

    def text(self, size: str) -> str:
        """The batches: `16 < B <= 512`."""
        if self.up_to is None:
            return f"{size} > {self.above}" if self.above else ""
        return f"{self.above} < " * (self.above > 0) + f"{size} <= {self.up_to}"


@dataclass(frozen=True, slots=True)
class Method:
    """A distinct program, the method that runs it, and when; `origin` as in `Option`."""

    name: str
    program: TensorProgram
    origin: TensorProgram
    uses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """All methods, and which one runs when; compilers see the first. `size` is what decides.

    `repeats` says for which batches of ids that is the number of those that differ.
    """

    methods: tuple[Method, ...]
    training: tuple[Case, ...]
    inference: tuple[Case, ...]
    size: str
    repeats: tuple[Repeats, ...] = ()

    @property
    def branching(self) -> bool:
        """Whether there is a choice at all."""
        return len(self.methods) > 1 or bool(self.repeats)


def planned(branches: Sequence[Branch]) -> tuple[Option, ...]:
    """The branches of a plan as they are."""
    return tuple(
        Option(branch.program, branch.program, branch.up_to, branch.reason) for branch in branches
    )


def dispatch(
    network: TensorNetwork,
    whole: Option,
    training: Sequence[Option],
    inference: Sequence[Option],
    repeats: tuple[Repeats, ...] = (),
) -> Dispatch:
    """The methods that these options make; programs that differ in names alone are one.

    The leading run-time index decides. Without one only the last option of each mode can ever be.
    """
    leading = network.leading
    size = batch_name(network) if leading in (DOTS, None) else leading
    if leading is None:
        training, inference = training[-1:], inference[-1:]
    distinct: dict[Hashable, Option] = {fingerprint(whole.program): whole}
    modes = _cases(training, distinct), _cases(inference, distinct)
    names = ["_contract"]
    for k, option in islice(enumerate(distinct.values()), 1, None):
        stem = _stem([[case for case in mode if case.method == k] for mode in modes], option)
        copies = (stem if count == 1 else f"{stem}_{count}" for count in range(1, len(names) + 2))
        names.append(next(name for name in copies if name not in names))
    methods = tuple(
        Method(name, option.program, option.origin, _uses(k, modes, size))
        for k, (name, option) in enumerate(zip(names, distinct.values(), strict=True))
    )
    return Dispatch(methods, *modes, size, repeats)


def _cases(options: Sequence[Option], distinct: dict[Hashable, Option]) -> tuple[Case, ...]:
    """The options of one mode, neighbors of one program together; new programs are added."""
    cases: list[Case] = []
    above = 0
    for option in options:
        key = fingerprint(option.program)
        distinct.setdefault(key, option)
        method = list(distinct).index(key)
        if cases and cases[-1].method == method:
            cases[-1] = replace(cases[-1], up_to=option.up_to)
        else:
            cases.append(Case(method, above, option.up_to, option.reason))
        above = option.up_to or 0
    return tuple(cases)


def _stem(modes: Sequence[Sequence[Case]], option: Option) -> str:
    """`_train_to_16`, `_infer_above_512`, `_contract_17_to_512`, from the cases of a method."""
    cases = [case for mode in modes for case in mode]
    stem = "_contract" if all(modes) else "_train" if modes[0] else "_infer"
    above = min(case.above for case in cases)
    ends = [case.up_to for case in cases if case.up_to is not None]
    if len(ends) == len(cases):
        return f"{stem}_{above + 1}_to_{max(ends)}" if above else f"{stem}_to_{max(ends)}"
    if above:
        return f"{stem}_above_{above}"
    if all(modes):
        stem += "_in_parts" if option.program.loop else "_eagerly"
    return stem


def _uses(method: int, modes: Sequence[Sequence[Case]], size: str) -> tuple[str, ...]:
    """When a method runs, in words."""
    ranges: dict[str, list[str]] = {}
    for mode, cases in zip(("with gradients", "without gradients"), modes, strict=True):
        for case in cases:
            if case.method == method:
                ranges.setdefault(case.text(size), []).append(mode)
    uses: list[str] = []
    for text, names in ranges.items():
        mode = "" if len(names) == 2 else names[0]
        uses.append(" ".join(filter(None, (mode, text and f"for {text}"))) or "in eager mode")
    return (*uses, *(["under `torch.compile` and in exports"] if method == 0 else []))
