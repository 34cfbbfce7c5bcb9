"""Which layers an adapter is for, and what patterns say of each, as PEFT reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from tncompile.language.diagnostics.spelling import closest
from tncompile.tensorizing.adapting.hosts import Host, host_of, is_adapted
from tncompile.tensorizing.rewriting.rewrite import shown

ALL_LINEAR = "all-linear"

MOST_NAMED = 8


@dataclass(frozen=True)
class Choice:
    """What a user says of which layers; see `adapt`."""

    target_modules: str | Sequence[str]
    exclude_modules: str | Sequence[str] | None = None
    layers_to_transform: int | Sequence[int] | None = None
    layers_pattern: str | Sequence[str] | None = None
    modules_to_save: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Target:
    """A layer that is adapted, under all names that it has."""

    names: tuple[str, ...]
    module: nn.Module = field(repr=False)
    host: Host = field(repr=False)

    @property
    def name(self) -> str:
        """The first of its names."""
        return self.names[0]


def modules_of(model: nn.Module) -> dict[int, tuple[nn.Module, tuple[str, ...]]]:
    """The modules of a model with all their names, less what belongs to adapters."""
    found: dict[int, tuple[nn.Module, list[str]]] = {}
    inside: list[str] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if any(name.startswith(prefix) for prefix in inside):
            continue
        found.setdefault(id(module), (module, []))[1].append(name)
        if is_adapted(module):
            inside.append(f"{name}.adapter" if name else "adapter")
    return {key: (module, tuple(names)) for key, (module, names) in found.items()}


def targets(model: nn.Module, choice: Choice) -> list[Target]:
    """The layers that are meant, in the order of the model; a shared one comes once.

    Raises ValueError where nothing is, where a module that is meant is no layer with a weight of
    a known kind, and for a layer whose weight is read without calling it; TypeError for what are
    no names.
    """
    matches = _matcher(model, choice)
    known = modules_of(model)
    read = _read_by_others(known.values())
    found: list[Target] = []
    for key, (module, names) in known.items():
        if not any(map(matches, names)):
            continue
        host = host_of(module)
        if key in read:
            if choice.target_modules == ALL_LINEAR:
                continue
            words = "reads its weight and never calls it: an adapter would not be heard"
            raise ValueError(f"{shown(names[0])}: {read[key]} {words}")
        if host is None:
            what = type(module).__name__
            words = "linear layers, Conv1D of transformers, convolutions and embeddings"
            raise ValueError(f"{shown(names[0])} is a {what}; adapters are for {words}")
        if not is_adapted(module) and hasattr(module, "adapter"):
            raise ValueError(f"{shown(names[0])} has something called `adapter` already")
        found.append(Target(names, module, host))
    if not found:
        raise ValueError(_nothing(choice, [name for _, names in known.values() for name in names]))
    return found


def saved_modules(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """The modules that are trained whole, by their first name: those whose name ends so.

    Raises ValueError for a name that no module has.
    """
    wanted = _names("modules_to_save", names)
    found: dict[str, nn.Module] = {}
    used: set[str] = set()
    for module, own in modules_of(model).values():
        for name in wanted:
            if any(each == name or each.endswith(f".{name}") for each in own):
                found[own[0]] = module
                used.add(name)
    for name in wanted:
        if name not in used:
            raise ValueError(f"modules_to_save: no module is called {name!r}")
    return found


def by_pattern(
    what: str, patterns: Mapping[str, object] | None, found: Iterable[Target]
) -> dict[str, object]:
    """What a pattern says of each target that one matches: the first that does.

    A key is a regular expression for a name or its end behind a dot. Raises ValueError for one
    that matches no target, and for what is no expression.
    """
    said: dict[str, object] = {}
    if patterns is None:
        return said
    if not isinstance(patterns, Mapping):
        raise TypeError(f"{what} is a dict of patterns, not {type(patterns).__name__}")
    tests = [(key, _compiled(what, rf"(?:.*\.)?(?:{key})", key)) for key in patterns]
    unused = dict.fromkeys(patterns)
    for target in found:
        for key, test in tests:
            if any(test.fullmatch(name) for name in target.names):
                unused.pop(key, None)
                said.setdefault(target.name, patterns[key])
    if unused:
        raise ValueError(f"{what}: {next(iter(unused))!r} matches no layer that is adapted")
    return said


def _matcher(model: nn.Module, choice: Choice) -> Callable[[str], bool]:
    """Whether a name is meant."""
    saved = [
        _compiled("modules_to_save", rf"(?:|.*\.){re.escape(name)}(?:|\..*)", name)
        for name in choice.modules_to_save
    ]
    excluded = _named("exclude_modules", choice.exclude_modules or ())
    if choice.target_modules == ALL_LINEAR:
        linear = set(_all_linear(model))
        wanted: Callable[[str], bool] = linear.__contains__
    else:
        wanted = _named("target_modules", choice.target_modules)
    in_layer = _in_layer(choice)

    def matches(name: str) -> bool:
        if not wanted(name) or excluded(name):
            return False
        return in_layer(name) and not any(test.fullmatch(name) for test in saved)

    return matches


def _named(what: str, given: str | Sequence[str]) -> Callable[[str], bool]:
    """A text is a regular expression for the whole name; names are whole ones, or their ends."""
    if isinstance(given, str):
        test = _compiled(what, given, given)
        return lambda name: test.fullmatch(name) is not None
    names = _names(what, given)
    return lambda name: any(name == each or name.endswith(f".{each}") for each in names)


def _in_layer(choice: Choice) -> Callable[[str], bool]:
    """Whether a name is of the layers of these numbers, where numbers are given."""
    numbers = choice.layers_to_transform
    if numbers is None or (not isinstance(numbers, int) and not len(numbers)):
        return lambda name: True
    if isinstance(choice.target_modules, str) and choice.target_modules != ALL_LINEAR:
        raise ValueError("layers_to_transform: target_modules is a pattern, which can say it")
    wanted = {numbers} if isinstance(numbers, int) else set(numbers)
    given = choice.layers_pattern or ()
    patterns = [given] if isinstance(given, str) else list(given)
    tests = [
        _compiled("layers_pattern", rf"(?:.*?\.)??(?:{pattern})\.(?P<place>\d+)\..*", pattern)
        for pattern in patterns
    ] or [re.compile(r"(?:.*?\.)??(?P<place>\d+)\..*")]

    def in_layer(name: str) -> bool:
        found = next((each for test in tests if (each := test.fullmatch(name))), None)
        return found is not None and int(found["place"]) in wanted

    return in_layer


def _all_linear(model: nn.Module) -> Iterator[str]:
    """All linear layers but the head that gives logits, where a model says which one that is."""
    outputs = getattr(model, "get_output_embeddings", None)
    head = outputs() if callable(outputs) else None
    for module, names in modules_of(model).values():
        host = host_of(module)
        if host is not None and host.common and module is not head:
            yield from names


def _read_by_others(
    modules: Iterable[tuple[nn.Module, tuple[str, ...]]],
) -> dict[int, str]:
    """Layers whose weight another module reads instead of calling them, and who that is."""
    return {
        id(module.out_proj): "nn.MultiheadAttention"
        for module, _ in modules
        if isinstance(module, nn.MultiheadAttention)
    }


def _names(what: str, given: object) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"{what} is a list of names, not {type(given).__name__}")
    names = list(given)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{what} has names as text, not {type(name).__name__}")
    return names


def _compiled(what: str, pattern: str, written: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{what}: {written!r} is no regular expression: {error}") from None


def _nothing(choice: Choice, names: list[str]) -> str:
    """That nothing is meant, with what probably was."""
    given = choice.target_modules
    ends = list(dict.fromkeys(name.rpartition(".")[2] for name in names if name))
    words = f"target_modules {given!r} match no layer of the model"
    if not isinstance(given, str):
        near = next((near for each in given if (near := closest(each, ends))), None)
        words += f"; did you mean {near!r}?" if near else ""
    return words
