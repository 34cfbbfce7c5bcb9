"""What is being read where a token does not fit: how it is written, and why it is so.

Every message of the parser ends with a note and a hint; where no mistake is recognized they come
from here. The parser's stack says which construct is open: it is searched from the innermost symbol
outwards for the first place where a pattern below matches.
"""

from __future__ import annotations

import re

from tncompile.language.parsing.errors.context import ParseContext
from tncompile.language.parsing.lexer import CLOSING

_OPENING = {closing: opening for opening, closing in CLOSING.items()}

Construct = tuple[str, str]
"""A part of the language: what to type (the hint) and why the rule exists (the note)."""

_BLOCKS = (
    "begin a block: `network NAME(parameters) { … }`",
    "a file holds blocks: `import`, `network`, `model` and `rewrite`",
)
_TARGET = (
    "write a name, `N`, or a call, `N(d = 4)`",
    "a target is one block of the file with its arguments",
)
_WORD = "every statement begins with its word, so that newlines mean nothing"
_STATEMENTS = {
    "network": ("begin a statement: `index i = 4`, `tensor A(i, j)`, …", _WORD),
    "model": ("begin a statement: `part p = N(d = 4)`, `output p(x)`, …", _WORD),
    "rewrite": (
        'write `linear "pattern" -> N(…)`, or `-> keep`',
        "a line says for which layers, by their kind and name, a network is put",
    ),
}

_SIZED = "an index has a size, so that every shape is known before anything runs"
_LEGS = "a leg is an index by its name: its size stands where the index is declared"
_DRAWN = "a scheme says how the first values of a tensor are drawn"
_TIED = "a tie is to one tensor, or to a family as a whole"
_BLOCK = "a block has a name, so that it can be compiled and used by others"

_CONSTRUCTS: dict[str, Construct] = {
    # brackets
    "(?:NETWORK|MODEL) NAME LPAR": (
        "write `NAME: TYPE` or `NAME: TYPE = default`, with commas between: `d: int = 4`",
        "a parameter has a type, so that a wrong argument is found where it is given",
    ),
    "INT LSQB": (
        "write the name of the length: `int[n]`",
        "a list binds the name of its length, which is then a name of the block",
    ),
    "TENSOR NAME(?: subscripts)? LPAR": ("write the legs as in `tensor A(i, b[k])`", _LEGS),
    "INPUT NAME(?: subscripts)? LPAR": ("write the legs as in `input x(..., i)`", _LEGS),
    "BIAS NAME LPAR": ("write the legs as in `bias c(o)`", _LEGS),
    "OUTPUT NAME LPAR": ("write the legs as in `output y(..., o)`", _LEGS),
    "ONEHOT LPAR": (
        "write the indices of one axis as `(a b)` or `(i[*])`",
        "an axis made of several indices lists their names, row major, as in einops",
    ),
    "leg_name LSQB": (
        "write one member, `b[k + 1]`, or all of them, `b[*]`",
        "a leg is one member of a family or, with `*`, all of them in order",
    ),
    "(?:INDEX|BOND|HYPER|WINDOW|TENSOR|INPUT|PART|COMMA) NAME LSQB": (
        "write a range for every subscript: `name[k in 0..n]`",
        "a family declares all its members at once: a half-open range for every subscript",
    ),
    "TIE NAME LSQB": ("write the member: `tie G[0]`", _TIED),
    "postfix LSQB": (
        "write one position: `a[k]`",
        "an item is taken by its position, counted from zero; there are no slices",
    ),
    "INIT NAME LPAR": ("write the scheme as in `init normal(0.1)`", _DRAWN),
    "(?:postfix|NAME|EXTERN|STRING) LPAR": (
        "write the arguments as in `N(d = 4, e = 8)`",
        "arguments are given by name or, first, by position, with commas between",
    ),
    "LSQB": ("write the items with commas between: `[4, 8]`", "a list holds ints, in order"),
    "IMPORT STRING LBRACE": (
        'write the names with commas between: `import "file.tn" { A, B }`',
        "an import brings in what it names; without braces, all of the file",
    ),
    # attributes and conditions
    r"(?:legs|__attributes\S*|expression|LOG) IF": (
        "write a condition: `if d > 3`",
        "a condition says for which parameters the declaration is there",
    ),
    "IF|THEN|ELSE": (
        "write `if condition then a else b`",
        "a choice is a value, so it needs a value for either case",
    ),
    "INIT": ("write the name of a scheme: `init zeros`, `init normal(0.1)`", _DRAWN),
    "SHARE": (
        "write a subscript of the tensor: `share k`",
        "sharing is over a subscript: one parameter for all its values",
    ),
    "TIE": ("write the name of a tensor: `tie OTHER`, or of a member: `tie G[0]`", _TIED),
    "REPEAT": (
        "write `repeat k in 0..n { stage }`",
        "a repeated stage of a pipeline says how often",
    ),
    # statements
    "INDEX": ("write `index i = 4`, or a family: `index i[k in 0..n] = 4`", _SIZED),
    "BOND": ("write `bond b = 4`, or a family: `bond b[k in 0..n] = 4`", _SIZED),
    "HYPER": ("write `hyper h = 4`, or a family: `hyper h[k in 0..n] = 4`", _SIZED),
    "BATCH": (
        "write `batch n, m`, or the size it usually has, too: `batch n = 128`",
        "a batch axis has its size at run time",
    ),
    "WINDOW": (
        "write `window h = conv(size = 3)`, or a family: `window h[a in 0..2] = conv(size = 3)`",
        "a window is sized at run time; its kernel is not",
    ),
    "INPUT": ("write `input x(..., i)`", "an input is an argument of `forward`: its axes"),
    "TENSOR": (
        "write `tensor A(i, j)`, and its attributes after it: `init zeros`",
        "the legs of a tensor are its shape, in order",
    ),
    "BIAS": ("write `bias c(o)`", "a bias is added along the legs of the output that it has"),
    "OUTPUT": (
        "write `output y(..., o)` in a network, a value in a model",
        "the output says what comes out, axis by axis",
    ),
    "LET": ("write `let n = value`", "a value is named once, and never changes"),
    "REQUIRE": (
        'write `require condition, "reason"`',
        "a requirement stops a wrong use early and, with a reason, says why",
    ),
    "(?<!COLON )PART": (
        "write `part p = N(d = 4)`",
        "a part is a network or a layer with its arguments",
    ),
    # blocks
    "IMPORT": (
        'write `import "file.tn"`, or `import "file.tn" { A, B }`',
        "an import names a file, in quotes, under the root folder or in `std/`",
    ),
    "(?:NETWORK|MODEL) NAME ASSIGN": (
        "write the block and its arguments: `network NAME = OTHER(d = 4)`",
        "a named instance is another block with all its arguments",
    ),
    "NETWORK": (
        "write `network NAME(parameters) { … }`, or `network NAME = OTHER(arguments)`",
        _BLOCK,
    ),
    "MODEL": ("write `model NAME(parameters) { … }`, or `model NAME = OTHER(arguments)`", _BLOCK),
    "REWRITE": ("write `rewrite NAME { … }`", "a rewrite takes no parameters: it is a list"),
    "DOC": (
        "write the block that it describes: `network NAME(parameters) { … }`",
        "a doc becomes the docstring of the block after it",
    ),
}
"""Hint and note by a pattern that the symbols of the stack end in; the first match counts."""

_AXES = "the axes of a value are sizes: `...` first, then numbers and names of `batch`"
_OPERAND = "an operand is a value with a name for each of its axes; equal names are summed over"
_SHAPES = "shapes say what comes in and what comes back, `int`, `bool` or `complex` after them"

_CONSTRUCTS_OF_MODELS: dict[str, Construct] = {
    "TIE place ASSIGN": (
        "write what is tied to: `tie weight = body.table.weight`",
        "before `=` stands what of this part is tied, behind it what that is",
    ),
    "TIE.* DOT": (
        "write the name of what is inside: `tie body.table`",
        "steps with dots lead through parts to a part or a tensor",
    ),
    "(?:TENSOR|INPUT) NAME(?: subscripts)? LPAR": ("write the axes as in `x(..., t, 4)`", _AXES),
    "(?:LBRACE|COMMA) NAME(?: members)? LPAR": (
        "write the legs as in `a(..., i, (j k))`",
        _OPERAND,
    ),
    "(?:LBRACE|COMMA) NAME LSQB": ("write the member: `G[0](i, j)`", _OPERAND),
    "NETWORK LBRACE LPAR": ("write the legs as in `(..., i, (j k))`", _OPERAND),
    "NETWORK LBRACE": (
        "write `network { a(i, j), b(j, k) -> (i, k) }`",
        "a network of values is the sum of products over the legs that are not on the right",
    ),
    "NETWORK": (
        "write `network { a(i, j), b(j, k) -> (i, k) }`",
        "a network of values stands in braces, without a name",
    ),
    "(?:arguments|ARROW|COMMA) LPAR": ("write the axes as in `(..., t, 4) int`", _SHAPES),
    "EXTERN(?: FUNCTION)?": (
        'write `extern "package.module.Class"(arguments)`, or `extern function "…"(arguments)`',
        "what is outside of the language is named by its module, in quotes",
    ),
    "EXTERN.* ARROW": ("write the axes as in `-> (..., t, 4) int`", _SHAPES),
    "postfix LSQB": (
        "write a place for each axis: `x[..., 0..t, *]`",
        "an item is taken by its position, a slice by a half-open range, a whole axis by `*`",
    ),
    "LET NAME LSQB": (
        "write a range for every subscript: `let h[k in 0..n] = …`",
        "the members of a family of values may use earlier ones",
    ),
    "LET LPAR": (
        "write the names with commas between: `let (a, b) = f(x)`",
        "a tuple is taken apart into as many names as it has values",
    ),
    "TENSOR": (
        "write `tensor w(4, 8) init normal(0.02)`",
        "a plain tensor of a model is a value, which is trained",
    ),
    "BATCH": (
        "write `batch s, t`; what is usual, then `causal`, come after it: "
        "`batch t = 128 causal if c`",
        "a run-time size is known when the model is called",
    ),
    "OUTPUT": ("write a value, `output y`, or a tuple, `output (y, h)`", "a model has one output"),
    "INPUT": ("write `input x(..., t, 4)`, or `input ids(..., t) int`", _AXES),
    "PIPE": (
        "write a part, a function, or a call of one: `x |> norm |> softmax(dim = -1)`",
        "a stage is given what stands before it",
    ),
}
"""The same, looked at first, in models."""


def construct_at(context: ParseContext) -> Construct:
    """The innermost construct that is open; between statements, the block around."""
    symbols = () if context.token.first and context.at_statement else context.symbols
    own = _CONSTRUCTS_OF_MODELS if context.block == "model" else {}
    constructs = [*own.items(), *_CONSTRUCTS.items()]
    closed: list[str] = []
    for k in range(len(symbols), 0, -1):
        symbol = symbols[k - 1]
        if symbol in _OPENING:
            closed.append(_OPENING[symbol])
        elif closed:
            if symbol == closed[-1]:
                closed.pop()
        else:
            words = " ".join(symbols[max(0, k - 4) : k])
            for pattern, construct in constructs:
                if re.search(rf"(?:^| )(?:{pattern})$", words):
                    return construct
            if symbol == "LBRACE":
                break
    if context.block:
        return _STATEMENTS[context.block]
    return _BLOCKS if "MODEL" in context.expected else _TARGET
