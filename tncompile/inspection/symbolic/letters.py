"""The sizes of a block in its parameters: which of them are letters, and what each index is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tncompile.inspection.symbolic.reading import Reader, plain_value
from tncompile.inspection.symbolic.sized import Quantity, Sized, TooLong, quantities_of, terms_of
from tncompile.language.checking.window_rules import argument
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.evaluating.compiled import evaluate
from tncompile.language.evaluating.scope import Scope
from tncompile.language.resolved import ResolvedNetwork, Value, member_name, value_text
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import values_used, walk
from tncompile.language.typing.model import Resolved


@dataclass(frozen=True)
class Letters:
    """The sizes of a network in letters.

    `sizes` are those of its indices that are known before run time, `reaches` the sizes that the
    output along each window follows from, but for its input. `structure` are values, as text by
    name, that decide which indices and tensors there are, `lengths` are those of lists.
    """

    parameters: tuple[Quantity, ...]
    sizes: Mapping[str, int]
    reaches: Mapping[str, tuple[object, ...]]
    structure: Mapping[str, str]
    lengths: tuple[str, ...]

    @property
    def fixed(self) -> dict[str, str]:
        """Why names stay as they are."""
        return dict.fromkeys(self.structure, "the structure of the network hangs on it")


def parameter_letters(resolved: Resolved) -> tuple[dict[str, Value], dict[str, str]]:
    """The parameters of a block as letters, and as text what stays a value.

    A list that one number was given for is one letter, others have a letter an item.
    """
    structure = structural(resolved.block)
    values: dict[str, Value] = {}
    fixed: dict[str, str] = {}
    for name, value in resolved.values.items():
        if name in structure or not isinstance(value, int | tuple) or isinstance(value, bool):
            values[name] = value
            if name in structure:
                fixed[name] = f"{name} = {value_text(value, most=6)}"
        elif not isinstance(value, tuple):
            values[name] = _parameter(name, value, name)
        elif name in resolved.uniform and value:
            values[name] = (_parameter(name, value[0], f"each of {name}"),) * len(value)
        else:
            values[name] = tuple(
                _parameter(f"{name}[{k}]", item, f"{name}[{k}]") for k, item in enumerate(value)
            )
    return values, fixed


def _parameter(name: str, value: int, what: str) -> Sized:
    return Sized.of(Quantity(name, value, "parameter", what))


def letters_of(resolved: ResolvedNetwork, given: Mapping[str, Value] | None = None) -> Letters:
    """The letters of a network; `given` are its parameters where a model has letters for them."""
    own, fixed = parameter_letters(resolved)
    values = dict(own if given is None else given)
    lists = {k: v for k, v in resolved.values.items() if isinstance(v, tuple) and k not in fixed}
    lengths = tuple(f"len({name}) = {len(items)}" for name, items in lists.items())
    while True:
        reader = Reader(with_lengths(resolved.block, values), naming=given is None)
        found = _read_all(resolved, reader)
        if not reader.counts:
            parameters = dict.fromkeys(k for value in values.values() for k in letters_in(value))
            return Letters(tuple(parameters), *found, fixed, lengths)
        for name, value in values.items():
            if any(letter.name in reader.counts for letter in letters_in(value)):
                values[name] = resolved.values[name]
                fixed[name] = f"{name} = {value_text(resolved.values[name], most=6)}"


def with_lengths(block: tree.Block, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values, and the lengths of lists that have a name (`int[n]`)."""
    complete = dict(values)
    for parameter in block.parameters:
        length, held = parameter.type.length, values.get(parameter.name.text)
        if isinstance(length, tree.Reference) and isinstance(held, tuple):
            complete.setdefault(length.name.text, len(held))
    return complete


def _read_all(
    resolved: ResolvedNetwork, reader: Reader
) -> tuple[dict[str, int], dict[str, tuple[object, ...]]]:
    """The sizes of indices, and what the lengths along windows follow from."""
    for statement in resolved.block.statements:
        if isinstance(statement, tree.Let):
            name = statement.name.text
            reader.values[name] = reader.name(_read(reader, statement.value, {}, name), name)
    reaches: dict[str, tuple[object, ...]] = {}
    members: dict[str, list[tuple[str, int]]] = {}
    declarations = dict(_declarations(resolved.block))
    for index in resolved.indices:
        declared = declarations.get(index.family)
        if declared is None:
            continue
        subscripts = (subscript.name.text for subscript in declared.subscripts)
        frame = dict(zip(subscripts, index.subscripts, strict=True))
        if isinstance(declared, tree.IndexDeclaration):
            node = declared.size
        elif index.size is None:
            window = member_name(index.family, index.subscripts)
            reaches[window] = tuple(_of_window(reader, declared, frame))
            continue
        else:
            written = argument(declared, "size")
            assert written is not None
            node = written.value
        size = _read(reader, node, frame, index.name)
        if size != index.size or not isinstance(size, int):
            raise InternalError(f"{index.name} is {index.size}, read as {size!r}")
        members.setdefault(index.family, []).append((index.name, size))
    sizes: dict[str, int] = {}
    for family, sized in members.items():
        alike = len({repr(size) for _, size in sized}) == 1 < len(sized)
        for name, size in sized:
            named = reader.name(size, family if alike else name)
            assert isinstance(named, int)
            sizes[name] = named
    return sizes, reaches


def _read(reader: Reader, node: tree.Expression, frame: Mapping[str, int], name: str) -> Value:
    """A value; a size that is too long when it is multiplied out is a letter of its own."""
    try:
        value = reader.read(node, frame)
        for size in value if isinstance(value, tuple) else (value,):
            if isinstance(size, Sized):
                terms_of(size)
        return value
    except TooLong:
        plain = evaluate(
            node, Scope({k: plain_value(v) for k, v in reader.values.items()} | {**frame})
        )
    follows = tuple(Sized.of(k) for v in reader.values.values() for k in letters_in(v))
    if isinstance(plain, tuple):
        items = enumerate(plain)
        return tuple(_too_long(f"{name}[{k}]", item, follows) for k, item in items)
    return _too_long(name, plain, follows) if type(plain) is int else plain


def _too_long(name: str, value: int, follows: tuple[object, ...]) -> Sized:
    return Sized.of(Quantity(name, value, "derived", "too long to be written out", follows))


def _of_window(
    reader: Reader, declared: tree.WindowDeclaration, frame: Mapping[str, int]
) -> Iterator[object]:
    """The numbers that a window is declared with, words left out."""
    for each in declared.arguments:
        if not any(isinstance(k, tree.String) for k in walk(each.value)):
            yield reader.read(each.value, frame)


def letters_in(value: Value) -> Iterator[Quantity]:
    for size in value if isinstance(value, tuple) else (value,):
        if isinstance(size, Sized):
            yield from quantities_of(size).values()


def _declarations(
    block: tree.Block,
) -> Iterator[tuple[str, tree.IndexDeclaration | tree.WindowDeclaration]]:
    for statement in block.statements:
        if isinstance(statement, tree.IndexStatement | tree.WindowStatement):
            for declaration in statement.declarations:
                yield declaration.name.text, declaration


# ── structure ────────────────────────────────────────────────────────────────────────────────────


def structural(block: tree.Block) -> set[str]:
    """The names that decide which indices, tensors and legs there are."""
    lets = {each.name.text: each.value for each in block.statements if isinstance(each, tree.Let)}
    expressions = [k for each in block.statements for k in _of_statement(each)]
    expressions += [each.type.length for each in block.parameters if each.type.length is not None]
    todo = [used.name.text for used in values_used(*expressions, into=_not_length)]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            if name in lets:
                todo += [used.name.text for used in values_used(lets[name], into=_not_length)]
    return found


def _not_length(node: tree.Expression) -> bool:
    """Whether the items of what is in a node count: not where only its length is asked for."""
    called = node.function if isinstance(node, tree.Call) else None
    return not (isinstance(called, tree.Reference) and called.name.text == "len")


def _of_statement(statement: tree.Statement) -> Iterator[tree.Expression]:
    match statement:
        case tree.Let(_, value):
            yield from _deciding(value)
        case tree.IndexStatement(_, declarations):
            for each in declarations:
                yield from _inside(each.subscripts)
                yield from _deciding(each.size)
                if each.condition is not None:
                    yield each.condition
        case tree.WindowStatement(declarations):
            for window in declarations:
                yield from _inside(window.subscripts)
                for given in window.arguments:
                    yield from _deciding(given.value)
        case tree.InputStatement() | tree.TensorStatement() | tree.BiasStatement():
            yield from _inside(k for k in statement.parts() if k is not statement.legs)
            yield from _of_legs(statement.legs)
        case tree.OutputStatement():
            yield from _of_legs(statement.legs)
        case tree.PartStatement():
            yield from _inside((statement.subscripts, statement.attributes))
            choices = [statement.value]
            while choices:
                choice = choices.pop()
                if isinstance(choice, tree.PartChoice):
                    yield choice.condition
                    choices += [choice.chosen, choice.otherwise]
                else:
                    for given in choice.arguments:
                        yield from _deciding(given.value)
        case _:
            pass


def _inside(parts: Iterable[object]) -> Iterator[tree.Expression]:
    """The expressions in legs, ranges and conditions; widths and starts decide nothing."""
    for part in parts:
        match part:
            case tree.Scheme():
                pass
            case tree.GroupLeg(legs):
                yield from _inside(legs)
            case tuple():
                yield from _inside(part)
            case _ if isinstance(part, tree.Expression):
                yield part
            case tree.Node():
                yield from _inside(part.parts())
            case _:
                pass


def _of_legs(legs: Iterable[tree.Leg]) -> Iterator[tree.Expression]:
    """What is in legs; an expression that is a leg, of a model, is a size."""
    for leg in legs:
        yield from _deciding(leg) if isinstance(leg, tree.Expression) else _inside((leg,))


def _deciding(expression: tree.Expression) -> Iterator[tree.Expression]:
    """What decides between the forms of a size: conditions, places in lists, exponents, counts."""
    for node in walk(expression):
        match node:
            case tree.Conditional(condition, _, _):
                yield condition
            case tree.Item(_, subscripts):
                yield from (k for k in subscripts if isinstance(k, tree.Expression))
            case tree.Binary("**", _, exponent):
                yield exponent
            case tree.Binary("*", tree.ListOf(), count) | tree.Binary("*", count, tree.ListOf()):
                yield count
            case tree.Call(tree.Reference(name), arguments) if name.text == "factor":
                named = [k.value for k in arguments if k.name and k.name.text == "parts"]
                yield from named or [k.value for k in arguments if k.name is None][1:]
            case _:
                pass
