"""Writes `docs/api.md` from the docstrings of what `tncompile` offers.

python docs/generate_api.py
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import tncompile

START = '''\
# Every public name

Written by `docs/generate_api.py` from docstrings; a test compares them and runs the examples.
Those go on from

```pycon
>>> import tncompile
>>> spec = tncompile.load("std/linear.tn")
>>> arch = spec.instantiate("MPO", ins=[4, 8], outs=[8, 4], ranks=4)
>>> model = tncompile.loads("""
... import "std/linear.tn" { MPO }
... model Classifier() {
...   part hidden = MPO(ins = [8, 8], outs = [4, 8], ranks = 8)
...   part head = Linear(32, 10)
...   input x(..., 64)
...   output x |> hidden |> relu |> head
... }
... """).instantiate()
```

Sizes are in elements, times in seconds, memory in bytes. [python.md](python.md) says
how they work together, [cost.md](cost.md) what plans and locks are.
'''


def markdown(doc: str) -> Iterator[str]:
    """The paragraphs of a docstring; examples and tables in fences."""
    for paragraph in inspect.cleandoc(doc).split("\n\n"):
        if paragraph.startswith(">>>"):
            yield f"```pycon\n{paragraph}\n```"
        elif "\n    " in paragraph:
            head, _, table = paragraph.partition("\n")
            yield f"{head}\n\n```text\n{inspect.cleandoc(table)}\n```"
        else:
            yield paragraph


def signature(name: str, function: Callable[..., object]) -> str:
    """A call as it is written, without `self`; a parameter a line where it is long."""
    whole = inspect.signature(function)
    parts, kinds = list[str](), inspect.Parameter
    for each in whole.parameters.values():
        if each.name == "self":
            continue
        if each.kind is kinds.KEYWORD_ONLY and not any(part[0] == "*" for part in parts):
            parts.append("*")
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(each.kind, "")
        default = "" if each.default is kinds.empty else f" = {each.default!r}".replace("'", '"')
        parts.append(f"{stars}{each.name}: {each.annotation}{default}")
        if each.kind is kinds.POSITIONAL_ONLY:
            parts = [*(part for part in parts if part != "/"), "/"]
    line = f"{name}({', '.join(parts)}) -> {whole.return_annotation}"
    if len(line) <= 100:
        return line
    return "\n".join(
        [f"{name}(", *(f"    {part}," for part in parts), f") -> {whole.return_annotation}"]
    )


def section(heading: str, declaration: str, doc: str | None) -> str:
    """A heading, the declaration and the docstring."""
    return "\n\n".join([heading, f"```text\n{declaration}\n```", *markdown(doc or "")])


def members(kind: type) -> dict[str, object]:
    """What a class offers, less what it has from one that has a section of its own."""
    found: dict[str, object] = {}
    for base in kind.__mro__:
        public = base.__name__ in tncompile.__all__
        if not base.__module__.startswith("tncompile") or (public and base is not kind):
            break
        found = dict(vars(base)) | found
    return {name: value for name, value in found.items() if name[0] != "_"}


def entries() -> Iterator[str]:
    """A section for each public name, and one for each public member of a class."""
    for name in sorted(tncompile.__all__, key=lambda name: (name[0].isupper(), name)):
        value = getattr(tncompile, name)
        if inspect.isfunction(value):
            yield section(f"## `{name}`", signature(name, value), value.__doc__)
            continue
        fields = getattr(value, "__dataclass_fields__", {}).values()
        lines = [f"    {each.name}: {each.type}" for each in fields if each.name[0] != "_"]
        yield section(f"## `{name}`", "\n".join([f"class {name}", *lines]), value.__doc__)
        for member, attribute in members(value).items():
            attribute = attribute.__func__ if isinstance(attribute, staticmethod) else attribute
            if inspect.isfunction(attribute):
                declaration = signature(member, attribute)
            elif isinstance(attribute, property | cached_property):
                getter = getattr(attribute, "fget", None) or attribute.func
                declaration = f"{member}: {inspect.signature(getter).return_annotation}"
            else:
                continue
            yield section(f"### `{name}.{member}`", declaration, attribute.__doc__)


def page() -> str:
    """The whole of `docs/api.md`."""
    return "\n\n".join([START.rstrip(), *entries()]) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "api.md").write_text(page(), encoding="utf-8")
