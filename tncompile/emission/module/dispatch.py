"""Which program `forward` runs: distinct ones become methods, chosen by mode and batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tncompile.emission.text.identifiers import batch_name
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.program.program import TensorProgram
from tncompile.program.rewriting import fingerprint
from tncompile.program.variants import Branch

WHOLE = "under `torch.compile` and in exports"


@dataclass(frozen=True, slots=True)
class Case:
    """A method, the largest batch that it is for (None: all larger ones), and why it is."""

    method: str
    up_to: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Method:
    """A distinct program, the method that runs it, and when.

    `origin` is the program as it was planned, before anything was folded.
    """

    name: str
    program: TensorProgram
    origin: TensorProgram
    uses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """All methods, and who runs when: `whole` is what compilers see. `size` is what decides."""

    methods: tuple[Method, ...]
    whole: str
    training: tuple[Case, ...]
    inference: tuple[Case, ...]
    size: str

    @property
    def branching(self) -> bool:
        """Whether there is a choice at all."""
        return len(self.methods) > 1


def measured(network: TensorNetwork) -> str | None:
    """The run-time index whose size decides: the leading axes, else the first one."""
    names = [index.name for index in network.indices if index.size is None]
    return DOTS if DOTS in names else next(iter(names), None)


@dataclass(frozen=True, slots=True)
class Option:
    """A branch as it is emitted; `origin` is its program as planned."""

    program: TensorProgram
    origin: TensorProgram
    up_to: int | None = None
    reason: str = ""


def planned(branches: Sequence[Branch]) -> tuple[Option, ...]:
    """The branches of a plan as they are."""
    return tuple(
        Option(branch.program, branch.program, branch.up_to, branch.reason) for branch in branches
    )


def dispatch(
    network: TensorNetwork, whole: Option, training: Sequence[Option], inference: Sequence[Option]
) -> Dispatch:
    """The methods that these options make; programs that differ in names alone are one.

    Without run-time sizes only the last option of each mode can ever be.
    """
    index = measured(network)
    size = batch_name(network) if index in (DOTS, None) else str(index)
    if index is None:
        training, inference = training[-1:], inference[-1:]
    kinds = [whole]
    spans = [_spans(mode, kinds) for mode in (training, inference)]
    names = _names(kinds, spans)
    methods = tuple(
        Method(names[k], kind.program, kind.origin, _uses(k, spans, size))
        for k, kind in enumerate(kinds)
    )
    cases = [
        tuple(Case(names[span.kind], span.up_to, span.reason) for span in mode) for mode in spans
    ]
    return Dispatch(methods, names[0], cases[0], cases[1], size)


@dataclass(frozen=True, slots=True)
class _Span:
    """Batches above one size and up to another, for which one kind of program is the choice."""

    kind: int
    above: int
    up_to: int | None
    reason: str


def _spans(options: Sequence[Option], kinds: list[Option]) -> list[_Span]:
    """The options of one mode, neighbors of one kind together; new kinds are added."""
    found: list[_Span] = []
    above = 0
    for option in options:
        seen = fingerprint(option.program)
        kind = next((k for k, one in enumerate(kinds) if fingerprint(one.program) == seen), None)
        if kind is None:
            kind = len(kinds)
            kinds.append(option)
        if found and found[-1].kind == kind:
            found[-1] = replace(found[-1], up_to=option.up_to)
        else:
            found.append(_Span(kind, above, option.up_to, option.reason))
        above = option.up_to or 0
    return found


def _names(kinds: list[Option], spans: list[list[_Span]]) -> list[str]:
    """`_contract` for all; `_train_to_16`, `_infer_above_512`, `_contract_17_to_512`."""
    names = ["_contract"]
    for kind in range(1, len(kinds)):
        mine = [[span for span in mode if span.kind == kind] for mode in spans]
        held = [span for mode in mine for span in mode]
        stem = "contract" if all(mine) else "train" if mine[0] else "infer"
        above = min(span.above for span in held)
        ends = [span.up_to for span in held if span.up_to is not None]
        up_to = max(ends) if len(ends) == len(held) else None
        if above:
            stem += f"_above_{above}" if up_to is None else f"_{above + 1}_to_{up_to}"
        elif up_to is not None:
            stem += f"_to_{up_to}"
        elif stem == "contract":
            stem += "_in_parts" if kinds[kind].program.loop else "_eagerly"
        count = 1
        while (name := f"_{stem}{f'_{count}' * (count > 1)}") in names:
            count += 1
        names.append(name)
    return names


def _uses(kind: int, spans: list[list[_Span]], size: str) -> tuple[str, ...]:
    """When a method runs, in words."""
    texts: dict[str, list[str]] = {}
    for mode, held in zip(("with gradients", "without gradients"), spans, strict=True):
        for span in held:
            if span.kind == kind:
                texts.setdefault(_range(span, size), []).append(mode)
    found: list[str] = []
    for text, modes in texts.items():
        which = "" if len(modes) == 2 else modes[0]
        found.append(" ".join(filter(None, (which, text and f"for {text}"))) or "in eager mode")
    return (*found, *([WHOLE] if kind == 0 else []))


def _range(span: _Span, size: str) -> str:
    """The batches of a span: `16 < B <= 512`."""
    if span.up_to is None:
        return f"{size} > {span.above}" if span.above else ""
    return f"{span.above} < {size} <= {span.up_to}" if span.above else f"{size} <= {span.up_to}"
