"""The page of a diagnostic's code: what it means, why the rule exists, an example and its repair.

`diagnostics.md` has a section for each code. In a section the first `tn` block has the mistake, and
the second is its repair; `# instantiate: TARGET` in a first line says how to see the diagnostic.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tncompile.language.diagnostics.diagnostic import Code

_EXAMPLE = re.compile(r"^```tn\n", re.MULTILINE)
_PLAIN_TARGET = re.compile(r"^# instantiate: \w+\(\)\n", re.MULTILINE)
_HEADING = re.compile(r"^## (TN\d{3})\b", re.MULTILINE)


def explain(code: str) -> str:
    """The page of a code, as Markdown; `tn401` and `401` are understood too.

    Raises ValueError for a text that is no code; its message names the closest code.

    >>> print(explain("tn102").splitlines()[0])
    # TN102: unexpected end
    """
    wanted = code.strip().upper()
    if wanted.isdigit():
        wanted = f"TN{wanted}"
    known = pages()
    if not wanted:
        raise ValueError(f"a code is wanted, like {next(iter(known))}")
    if wanted not in known:
        raise ValueError(f"there is no code {code.strip()!r}; the closest is {_closest(wanted)}")
    names = iter(("Wrong:", "Right:"))
    page = _EXAMPLE.sub(lambda fence: f"{next(names)}\n\n{fence[0]}", known[wanted])
    return _PLAIN_TARGET.sub("", page)


@cache
def pages() -> dict[str, str]:
    """Every page by its code, in the order of the codes."""
    text = Path(__file__).with_name("diagnostics.md").read_text(encoding="utf-8")
    _, *parts = _HEADING.split(text)
    return {
        code: f"# {code}{body.rstrip()}\n"
        for code, body in zip(parts[::2], parts[1::2], strict=True)
    }


def _closest(wanted: str) -> str:
    """The code with the fewest digits that differ; of several, the nearest number."""
    digits = (re.sub(r"\D", "", wanted) + "000")[:3]

    def distance(code: str) -> tuple[int, int]:
        number = code[2:]
        differing = sum(a != b for a, b in zip(number, digits, strict=True))
        return differing, abs(int(number) - int(digits))

    return min((str(code) for code in Code), key=distance)
