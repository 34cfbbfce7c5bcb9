"""The rules on windows: their arguments, and where their three faces stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tncompile.language.checking.name_rules import kind_text
from tncompile.language.checking.structure_rules import End, Structure
from tncompile.language.checking.symbols import LEG_KINDS, WINDOW_WORDS, BlockNames, LegUse, Rule
from tncompile.language.checking.usage_rules import argument_problems, misplaced
from tncompile.language.diagnostics.collector import listed, problem, with_article
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.parsing.lexer import one_line
from tncompile.language.resolved import MOST_WINDOWS, ResolvedWindow
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import choices


@dataclass(frozen=True, slots=True)
class WindowFunction:
    """How `conv` is called."""

    signature: str
    least: int
    names: tuple[str, ...]

    @property
    def most(self) -> int:
        """How many arguments it takes."""
        return len(self.names)


WINDOW = WindowFunction(
    'conv(size, stride = 1, padding = 0, dilation = 1, mode = "zeros", extra = 0)',
    1,
    ("size", "stride", "padding", "dilation", "mode", "extra"),
)

_TORCH_NAMES = {
    "kernel_size": "size",
    "kernel": "size",
    "padding_mode": "mode",
    "output_padding": "extra",
    "strides": "stride",
    "dilations": "dilation",
    "pad": "padding",
}

_PLACES = {"in": ("input", "output"), "kernel": ("tensor",), "out": ("output", "input")}
"""Where a face may be; the second is for transposed convolutions."""

_FACES = "a window has `.in` on one input, `.kernel` on tensors, `.out` on the output"
_TRANSPOSED = "of a transposed convolution `.out` is on the input and `.in` on the output"


def argument(window: tree.WindowDeclaration, name: str) -> tree.Argument | None:
    """The argument `name` of a window, by name or by position; None where it is left out."""
    place = WINDOW.names.index(name)
    for k, each in enumerate(window.arguments):
        if (each.name is None and k == place) or (each.name is not None and each.name.text == name):
            return each
    return None


def _windows(names: BlockNames) -> Iterator[tree.WindowDeclaration]:
    for statement in names.block.statements:
        if isinstance(statement, tree.WindowStatement):
            yield from statement.declarations


# ── arguments ────────────────────────────────────────────────────────────────────────────────────


def wrong_arguments(names: BlockNames) -> Iterator[Diagnostic]:
    """TN207: a window is a `conv`. TN208, TN305: its arguments."""

    def advice(word: str) -> str | None:
        if word == "groups":
            return "groups are an index that the input, the tensor and the output carry"
        meant = _TORCH_NAMES.get(word) or names.suggestions.closest(word, WINDOW.names)
        return f"did you mean `{meant}`?" if meant else None

    for window in _windows(names):
        called = window.function.span
        if window.function.text != "conv":
            message = f"there is no window `{window.function.text}`"
            note = "a window is a convolution axis: `conv(size = 3, stride = 1, padding = 1)`"
            yield misplaced(message, called, "unknown function", note, "write `conv`")
            continue
        wrong = [*argument_problems(window.arguments, called, "conv", WINDOW, advice)]
        yield from wrong or _wrong_words(window, names)


def _wrong_words(window: tree.WindowDeclaration, names: BlockNames) -> Iterator[Diagnostic]:
    """TN305 for text that is no padding or mode, and for a mode that is no text."""
    for name in WINDOW.names:
        written = argument(window, name)
        for value in choices(written.value) if written is not None else ():
            known = WINDOW_WORDS.get(name, ())
            text = value.value if isinstance(value, tree.String) else None
            if text in known or (text is None and name != "mode"):
                continue
            quoted = ", ".join(f'`"{word}"`' for word in known)
            message = f"`{name}` cannot be `{_shown(value)}`"
            label = "not a mode" if name == "mode" else "this is text"
            if not known:
                note, hint = f"the {name} of a window is an int", "write a number here"
            else:
                others = "an int, `[left, right]`, or " if name == "padding" else ""
                note = f"`{name}` is {others}one of {quoted}"
                close = names.suggestions.closest(text or "", known)
                hint = f'did you mean `"{close}"`?' if close else "write one of these"
            yield problem(Code.WRONG_TYPE, message, value.span, label, note, hint)


def _shown(node: tree.Expression) -> str:
    text = one_line(node.span)
    return text if len(text) <= 40 else f"{text[:39]}…"


# ── faces, as they are written ───────────────────────────────────────────────────────────────────


def misplaced_face(names: BlockNames) -> Iterator[Diagnostic]:
    """TN408: `h.in`, `h.kernel` and `h.out` are the legs of a window, and of nothing else.

    An input or the output carries `h.in` and `h.out`, tensors carry `h.kernel`, each as an axis of
    its own: in no group, beside no `onehot` and no `p in` axis.
    """
    for use in names.legs:
        if use.declared is None or use.declared.kind not in LEG_KINDS:
            continue
        if found := _face_problem(use):
            message, hint = found
            place = Label(use.declared.name.span, "declared here")
            span, label = use.leg.span, "this leg"
            yield problem(Code.WINDOW_FACE, message, span, label, _FACES, hint, place)


def _face_problem(use: LegUse) -> tuple[str, str] | None:
    """What is wrong with a leg that is a face or should be one, and what to write."""
    leg, where = use.leg, use.statement.where
    assert use.declared is not None
    name = leg.name.text
    fitting = {"input": "in", "output": "out", "tensor": "kernel"}.get(where)
    stem = one_line(leg.span).rstrip("?").partition(".")[0].rstrip()
    if use.declared.kind != "window":
        if leg.face is None:
            return None
        return f"`{name}` is {kind_text(use.declared)}, it has no faces", f"write `{stem}`"
    right = f"write `{stem}.{fitting}`" if fitting else "remove it"
    if leg.face is None:
        return f"the window `{name}` needs a face here", right
    face = leg.face.text
    if face not in _PLACES:
        return f"a window has no face `{face}`", right
    written = one_line(leg.span).rstrip("?")
    if where not in _PLACES[face]:
        if where == "bias":
            right = "remove it: a bias is the same at every position"
        return f"`{written}` cannot be on {with_article(where)}", right
    for other in use.statement.legs:
        if isinstance(other, tree.GroupLeg) and any(part is leg for part in other.legs):
            hint = f"take it out of the parentheses, as an axis of its own: `{written}`"
            return f"`{written}` cannot be part of a flattened axis", hint
        if isinstance(other, tree.GroupLeg) and other.onehot:
            hint = "put the ids on an input of their own"
            return f"`{written}` cannot stand beside a `onehot`", hint
        if isinstance(other, tree.Subscript):
            hint = "put it on an input of its own"
            return f"`{written}` cannot stand beside a `{other.name.text} in` axis", hint
    return None


RULES: tuple[Rule, ...] = (wrong_arguments, misplaced_face)
"""The rules on a block as it is written."""


# ── faces, when families are unrolled ────────────────────────────────────────────────────────────


def faces(structure: Structure) -> Iterator[Diagnostic]:
    """TN408: a window has each face, on one input, on tensors and on the output; so has a kernel.

    TN208, TN305: what only some windows take.
    """
    fitting: dict[str, list[ResolvedWindow]] = {}  # by the input that each convolves
    for window in structure.network.windows:
        wrong = [*_wrong_faces(window, structure)]
        yield from wrong
        if not wrong:
            yield from _wrong_direction(window)
            image = structure.ends[f"{window.name}.{'out' if window.transposed else 'in'}"]
            fitting.setdefault(image.inputs[0].owner, []).append(window)
    for convolved, windows in fitting.items():
        for tensors, group in _kernels(windows, structure):
            yield from _not_one_convolution(convolved, tensors, group, structure)


def _wrong_faces(window: ResolvedWindow, structure: Structure) -> Iterator[Diagnostic]:
    name, place = window.name, window.declaration.name.span
    first, last = ("out", "in") if window.transposed else ("in", "out")
    entering, leaving = (structure.ends[f"{name}.{face}"] for face in (first, last))
    declared = Label(place, f"`{window.family}` is declared here")

    def wrong(end: End, message: str, hint: str, other: End | None) -> Diagnostic:
        labels: tuple[Label, ...] = (declared,)
        if other is not None and other.span != end.span:
            labels = (declared, Label(other.span, f"on `{other.owner}`"))
        notes = (_FACES, _TRANSPOSED)
        return problem(Code.WINDOW_FACE, message, end.span, "this face", notes, hint, labels)

    inputs = list({end.owner: end for end in entering.inputs}.values())
    for end in inputs[1:2]:
        message = f"`{name}.{first}` is on two inputs, `{inputs[0].owner}` and `{end.owner}`"
        hint = "one input is convolved: give the other a window of its own, or none"
        yield wrong(end, message, hint, inputs[0])
    for end in entering.output:
        other = inputs[0] if inputs else None
        message = f"`{name}.{first}` is on the output `{end.owner}`, and on an input, too"
        hint = "remove it" if leaving.output else f"write `{name}.{last}`"
        yield wrong(end, message, hint, other)
    for end in leaving.inputs[:1]:
        other = leaving.output[0] if leaving.output else None
        message = f"`{name}.{last}` is on the input `{end.owner}`, and on the output, too"
        hint = "remove it" if inputs else f"write `{name}.{first}`"
        yield wrong(end, message, hint, other)
    missing = []
    if not inputs and not leaving.inputs:
        missing.append((first, "an input"))
    if not structure.ends[f"{name}.kernel"].tensors:
        missing.append(("kernel", "a tensor"))
    if not leaving.output and not entering.output:
        missing.append((last, "the output"))
    if missing:
        message = f"the window `{name}` has no {listed(f'{name}.{face}' for face, _ in missing)}"
        label = "a face is missing" if len(missing) == 1 else "faces are missing"
        if len(missing) == 3:
            message, label = f"the window `{name}` is never used", "never used"
        hints = [f"`{name}.{face}` on {where}" for face, where in missing]
        hint = "put " + " and ".join(filter(None, [", ".join(hints[:-1]), hints[-1]]))
        if len(missing) == 3:
            hint += ", or remove the window"
        labels = tuple(
            label
            for ends in (entering, structure.ends[f"{name}.kernel"], leaving)
            for label in ends.labels()
        )
        yield problem(Code.WINDOW_FACE, message, place, label, _FACES, hint, labels)


def _wrong_direction(window: ResolvedWindow) -> Iterator[Diagnostic]:
    """TN208 for `extra` where nothing is transposed, TN305 for a mode where something is."""
    declared = window.declaration
    extra, mode = argument(declared, "extra"), argument(declared, "mode")
    if extra is not None and not window.transposed:
        span = (extra.name or extra.value).span
        message = f"`extra` is for transposed convolutions, `{window.name}` is none"
        note = f"`extra` is entries that come out more where `{window.name}.out` is on the input"
        hint, label = "remove it; `padding` lengthens the output of a convolution", "not here"
        yield problem(Code.WRONG_ARGUMENT, message, span, label, note, hint)
    if mode is not None and window.transposed and window.mode != "zeros":
        message = f'a transposed convolution has the mode `"zeros"`, not `"{window.mode}"`'
        note = "it reads nothing outside of its input: padding cuts its output"
        span, label = mode.value.span, "not here"
        yield problem(Code.WRONG_TYPE, message, span, label, note, "remove the mode")


def _kernels(
    windows: Sequence[ResolvedWindow], structure: Structure
) -> Iterator[tuple[list[str], list[ResolvedWindow]]]:
    """The kernels of an input: tensors that share kernel legs, and the windows that they have.

    All carriers of a kernel leg are merged before the input meets them, so the input is convolved
    along all windows of such a kernel at once.
    """
    above: dict[str, str] = {}

    def root(tensor: str) -> str:
        while (parent := above.setdefault(tensor, tensor)) != tensor:
            above[tensor] = above[parent]
            tensor = above[tensor]
        return tensor

    carriers = [
        [end.owner for end in structure.ends[f"{window.name}.kernel"].tensors] for window in windows
    ]
    for names in carriers:
        for name in names:
            above[root(name)] = root(names[0])
    kernels: dict[str, tuple[list[str], list[ResolvedWindow]]] = {}
    for tensor in list(above):
        kernels.setdefault(root(tensor), ([], []))[0].append(tensor)
    for window, names in zip(windows, carriers, strict=True):
        kernels[root(names[0])][1].append(window)
    yield from kernels.values()


def _not_one_convolution(
    convolved: str, tensors: list[str], windows: list[ResolvedWindow], structure: Structure
) -> Iterator[Diagnostic]:
    """TN408: the windows of a kernel are too many, or some of them alone are transposed."""
    first, names = windows[0], listed(tensors)
    kernel = f"the kernel {names}"
    notes: tuple[str, ...] = ()
    if len(tensors) > 1:
        kernel = f"the kernel of {names}"
        notes = ("tensors that share a kernel leg are merged, and convolved with at once",)
    other = next((each for each in windows if each.transposed != first.transposed), None)
    if other is not None:
        backward, forward = (other, first) if other.transposed else (first, other)
        message = f"{kernel} is transposed along `{backward.name}`, not along `{forward.name}`"
        label = "a window of another direction"
        notes += ("a convolution is transposed along all of its windows, or along none",)
    elif len(windows) > MOST_WINDOWS:
        other = windows[MOST_WINDOWS]
        message = f"{kernel} has {len(windows)} windows of the input `{convolved}`"
        label = f"more than {MOST_WINDOWS} windows"
        notes += (f"torch convolves along at most {MOST_WINDOWS} axes at once",)
    else:
        return
    face = structure.ends[f"{other.name}.kernel"].tensors[0]
    before = structure.ends[f"{first.name}.kernel"].tensors[0]
    labels = [Label(other.declaration.name.span, f"`{other.family}` is declared here")]
    if before.span != face.span:
        labels.append(Label(before.span, f"on `{before.owner}`"))
    hint = f"put `{other.name}.kernel` on a tensor of its own, joined to the others by a bond"
    yield problem(Code.WINDOW_FACE, message, face.span, label, notes, hint, tuple(labels))
