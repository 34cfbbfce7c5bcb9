"""Plans that all tests of a run share, whichever process searched them: they are deterministic."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tncompile.network.model import TensorNetwork
from tncompile.planning import ContractionPlan
from tncompile.planning.request import PlanRequest

Search = Callable[..., ContractionPlan]


def shared(search: Search, folder: Path) -> Search:
    """The same search; each request is searched once a folder, by name of its whole contents."""

    @cache
    def planned(
        network: TensorNetwork, *request: PlanRequest, **options: object
    ) -> ContractionPlan:
        contents = f"{network.to_json()}\n{request}\n{options}"
        file = folder / hashlib.sha256(contents.encode()).hexdigest()
        if file.exists():
            stored: ContractionPlan = pickle.loads(file.read_bytes())
            return stored
        found = search(network, *request, **options)
        writing = folder / f"{file.name}.{os.getpid()}"
        writing.write_bytes(pickle.dumps(found))
        writing.replace(file)  # another process sees all of it or nothing
        return found

    return planned
