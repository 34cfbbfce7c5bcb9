"""The parameters of a model in letters: its parts made again, on sizes that know their letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from tncompile.inspection.symbolic.letters import letters_in, letters_of, structural, with_lengths
from tncompile.inspection.symbolic.reading import Reader, plain_value
from tncompile.inspection.symbolic.sized import Quantity, Sized, TooLong
from tncompile.language.diagnostics.collector import Failed, Problems, Suggestions
from tncompile.language.resolved import ResolvedNetwork, Value
from tncompile.language.resolving.arguments import Matched, match_call
from tncompile.language.syntax import tree
from tncompile.language.typing.layers.table import LAYERS
from tncompile.language.typing.model import Callee, Layer, Part, PlainTensor, ResolvedModel
from tncompile.language.typing.values import Number
from tncompile.network.model import axis_size

_UNREAD = (KeyError, TypeError, AssertionError, ValueError, IndexError, Failed, TooLong)
"""What reading an expression of a model raises that is more than arithmetic of sizes."""

_COUNTS = ("num_layers",)
"""Arguments of layers that say how many tensors there are."""


@dataclass(slots=True)
class Making:
    """Makes models and what is in them again; `decided` are letters that the structure hangs on."""

    decided: set[str] = field(default_factory=set)
    made: dict[tuple[int, str], Callee] = field(default_factory=dict)

    def model(
        self, model: ResolvedModel, values: Mapping[str, Value], *, part: bool = False
    ) -> ResolvedModel:
        """The same model with the shapes of its tensors, and of those of its parts, as sizes."""
        reader = Reader(with_lengths(model.block, values), naming=not part)
        statements: dict[str, tree.PartStatement | tree.TensorStatement] = {}
        for statement in model.block.statements:
            if isinstance(statement, tree.Let) and not statement.subscripts:
                name = statement.name.text
                with suppress(*_UNREAD):  # a value of `forward`
                    reader.values[name] = reader.name(reader.read(statement.value, {}), name)
            elif isinstance(statement, tree.PartStatement | tree.TensorStatement):
                statements[statement.name.text] = statement
        return replace(
            model,
            parts=tuple(self._part(part, statements, reader) for part in model.parts),
            tensors=tuple(_tensor(each, statements, reader) for each in model.tensors),
        )

    def _part(
        self,
        part: Part,
        statements: Mapping[str, tree.PartStatement | tree.TensorStatement],
        reader: Reader,
    ) -> Part:
        statement = statements.get(part.family)
        if part.outer or not isinstance(statement, tree.PartStatement):
            return part
        frame = _frame(statement, part.subscripts)
        choice = statement.value
        while isinstance(choice, tree.PartChoice):
            chosen = bool(reader.read(choice.condition, frame))
            choice = choice.chosen if chosen else choice.otherwise
        callee = part.callee
        if not isinstance(choice, tree.Call) or not isinstance(choice.function, tree.Reference):
            return part
        if isinstance(callee, Layer):
            return replace(part, callee=self._layer(callee, choice, part.name, reader, frame))
        if not isinstance(callee, ResolvedNetwork | ResolvedModel):
            return part
        if choice.function.name.text != callee.block.name.text:
            return part  # a named instance, whose arguments are numbers
        values = _given(callee, choice, part.name, reader, frame)
        return replace(part, callee=self._block(callee, values))

    def _block(
        self, callee: ResolvedNetwork | ResolvedModel, values: Mapping[str, Value]
    ) -> Callee:
        key = id(callee), repr(values)
        if key not in self.made:
            self._decide(values, structural(callee.block))
            if isinstance(callee, ResolvedModel):
                self.made[key] = self.model(callee, values, part=True)
            else:
                letters = letters_of(callee, values)
                self._decide(values, letters.structure)
                sizes = letters.sizes
                self.made[key] = replace(
                    callee,
                    parameters=tuple(
                        replace(each, shape=_shape(sizes, (axis.indices for axis in each.axes)))
                        for each in callee.parameters
                    ),
                )
        return self.made[key]

    def _decide(self, values: Mapping[str, Value], names: Iterable[str]) -> None:
        self.decided.update(k.name for name in names for k in letters_in(values.get(name, 0)))

    def _layer(
        self, layer: Layer, call: tree.Call, name: str, reader: Reader, frame: Mapping[str, int]
    ) -> Layer:
        entry = LAYERS[layer.name]
        order = [argument.name for argument in entry.arguments]
        values: dict[str, Number] = dict(layer.arguments)
        for place, argument in enumerate(call.arguments):
            key = order[place] if argument.name is None else argument.name.text
            plain = layer.arguments[key]
            if isinstance(plain, int | tuple) and not isinstance(plain, bool):
                read = _read(reader, argument.value, frame, plain, f"{key} of {name}")
                assert isinstance(read, int | tuple)
                values[key] = read
        self._decide({k: v for k, v in values.items() if isinstance(v, int)}, _COUNTS)
        return replace(layer, parameters=entry.parameters(entry.settings(values)))


def _given(
    callee: ResolvedNetwork | ResolvedModel,
    call: tree.Call,
    name: str,
    reader: Reader,
    frame: Mapping[str, int],
) -> dict[str, Value]:
    """The parameters of a part, read where it is called, defaults where they are declared."""
    written: dict[str, tree.Expression] = {}

    def keep(matched: Matched, parameter: tree.Parameter, argument: tree.Argument) -> None:
        written[parameter.name.text] = argument.value

    matched = Matched(callee.block, call.function.span, Problems(), Suggestions(), hands=True)
    match_call(matched, call.arguments, keep)
    values: dict[str, Value] = {}
    for parameter in callee.block.parameters:
        key = parameter.name.text
        if key not in callee.values:
            continue  # a part that is handed on
        plain, label = callee.values[key], f"{key} of {name}"
        if key in written:
            values[key] = _read(reader, written[key], frame, plain, label)
        elif parameter.default is not None:
            inside = Reader(with_lengths(callee.block, values), naming=False)
            values[key] = _read(inside, parameter.default, {}, plain, label)
    return values


def _read(
    reader: Reader, node: tree.Expression, frame: Mapping[str, int], plain: Value, name: str
) -> Value:
    """A value, one number for all items of a list; a letter of its own where it is not read."""
    if isinstance(plain, bool | float):
        return plain
    try:
        value = reader.read(node, frame)
        if isinstance(plain, tuple) and isinstance(value, int):
            value = (value,) * len(plain)
        if plain_value(value) == plain and not isinstance(value, float):
            return value
    except _UNREAD:
        pass
    follows = tuple(Sized.of(k) for each in reader.values.values() for k in letters_in(each))
    if not follows:
        return plain

    def letter(name: str, number: int) -> Sized:
        return Sized.of(Quantity(name, number, "derived", "as it is written there", follows))

    if isinstance(plain, tuple):
        return tuple(letter(f"{name}[{k}]", item) for k, item in enumerate(plain))
    return letter(name, plain)


def _tensor(
    tensor: PlainTensor,
    statements: Mapping[str, tree.PartStatement | tree.TensorStatement],
    reader: Reader,
) -> PlainTensor:
    statement = statements[tensor.family]
    assert isinstance(statement, tree.TensorStatement)
    frame, shape = _frame(statement, tensor.subscripts), list(tensor.shape)
    legs = [leg for leg in statement.legs if isinstance(leg, tree.Expression)]
    for k, size in enumerate(tensor.shape):
        name = f"axis {k} of {tensor.path}"
        value = _read(reader, legs[k], frame, size, name) if len(legs) == len(shape) else size
        assert isinstance(value, int)
        shape[k] = value
    return replace(tensor, shape=tuple(shape))


def _frame(
    statement: tree.PartStatement | tree.TensorStatement, subscripts: tuple[int, ...]
) -> dict[str, int]:
    names = (subscript.name.text for subscript in statement.subscripts)
    return dict(zip(names, subscripts, strict=True))


def _shape(sizes: Mapping[str, int], axes: Iterable[tuple[str, ...]]) -> tuple[int, ...]:
    shape = tuple(axis_size(sizes[leg] for leg in axis) for axis in axes)
    return tuple(size for size in shape if size is not None)
