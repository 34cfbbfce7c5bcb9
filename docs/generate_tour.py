"""Runs the notebook `examples/tour.ipynb` and stores what its cells show.

python docs/generate_tour.py
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

TOUR = Path(__file__).parents[1] / "examples" / "tour.ipynb"

KINDS = {"_repr_svg_": "image/svg+xml", "_repr_html_": "text/html"}


def outputs_of(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """What each code cell shows when all are run in order, in a folder of their own."""
    names: dict[str, object] = {"__name__": "__main__"}
    found: list[list[dict[str, Any]]] = []
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for number, cell in enumerate(notebook["cells"]):
                if cell["cell_type"] == "code":
                    found.append(_run("".join(cell["source"]), f"cell {number}", names))
        finally:
            os.chdir(before)
    return found


def _run(source: str, name: str, names: dict[str, object]) -> list[dict[str, Any]]:
    """What a cell prints, and the value of its last line, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), names)
        value = None
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), names)
    shown: list[dict[str, Any]] = []
    if printed.getvalue():
        lines = printed.getvalue().splitlines(keepends=True)
        shown.append({"name": "stdout", "output_type": "stream", "text": lines})
    if value is not None:
        made = {kind: getattr(value, how)() for how, kind in KINDS.items() if hasattr(value, how)}
        kept = made or {"text/plain": repr(value)}
        data = {kind: text.splitlines(keepends=True) for kind, text in kept.items()}
        shown.append({"output_type": "display_data", "metadata": {}, "data": data})
    return shown


def plain(outputs: list[dict[str, Any]]) -> str:
    """Outputs without the prefixes of ids, which count the pictures of a process."""
    return re.sub(r"tn[0-9a-f]{8}", "tn", json.dumps(outputs, ensure_ascii=False))


def main() -> None:
    """Run it and write it."""
    notebook = json.loads(TOUR.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, (cell, shown) in enumerate(zip(cells, outputs_of(notebook), strict=True), 1):
        cell["outputs"], cell["execution_count"] = shown, number
    text = json.dumps(notebook, indent=1, ensure_ascii=False)
    TOUR.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
