"""What an emitted file imports for its foreign parts."""

from __future__ import annotations

from tncompile.emission.text.identifiers import identifier
from tncompile.language.diagnostics.errors import InternalError
from tncompile.models.emission.construction.parts import is_name

Import = tuple[str, str]
"""A module, and what is imported from it: `("torchvision.ops", "MLP")`, `("m", "f as f1")`."""


class Imports:
    """The classes and functions of other packages that a file refers to, by path."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self.called: dict[str, str] = {}
        self._imports: dict[str, Import] = {}

    def name(self, path: str) -> str:
        """The expression of what stands at a dotted path: `nn.Bilinear`, `MLP`."""
        if path not in self.called:
            module, _, last = path.rpartition(".")
            if not module or not all(map(is_name, path.split("."))):
                raise InternalError(f"`{path}` is no path of a class or function")
            if module in _KNOWN:
                self.called[path] = f"{_KNOWN[module]}.{last}"
                if module == "torch.nn.functional":
                    self._imports[path] = FUNCTIONAL
            else:
                name = self.called[path] = self._free(last)
                self._imports[path] = (module, last if name == last else f"{last} as {name}")
        return self.called[path]

    def _free(self, name: str) -> str:
        stem, number = identifier(name), 1
        text = stem
        while text in self._taken:
            number += 1
            text = f"{stem}_{number}"
        self._taken.add(text)
        return text

    def of(self, path: str) -> tuple[Import, ...]:
        """What has to be imported for a path."""
        return (self._imports[path],) if path in self._imports else ()


FUNCTIONAL: Import = ("torch.nn.functional as F", "")

_KNOWN = {"torch": "torch", "torch.nn": "nn", "torch.nn.functional": "F"}
