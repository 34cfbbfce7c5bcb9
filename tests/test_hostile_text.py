"""No text of any input becomes code: emitted files differ in texts alone, or there is an error."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from unicodedata import category

import pytest

import tncompile
from tests.support import hostile
from tests.support.hostile import PIECES, TEXTS, UNSEEN, skeleton
from tncompile.architecture import Architecture
from tncompile.emission.text import writer
from tncompile.language.parsing.lexer import tokenize
from tncompile.language.syntax.source import SourceFile
from tncompile.machine.profile import BUILTIN, profile_text
from tncompile.planning.lock import Lock, read_lock
from tncompile.planning.request import plan_request

SPEC = '''\
"""A block."""
network A(n: int = 3, many: int[2] = [2, 2], rate: float = 0.5) {
  let m = n + 1
  require n > 1, "more than one"
  index i[k in 0..2] = many[k], v = n, o = 4
  hyper r = 2 if n > 2
  input x[k in 0..2](..., i[k])
  input ids(..., onehot(v))
  tensor U[k in 0..2](i[k], r) init normal(rate)
  tensor V(v, r) frozen
  tensor training(r, o)
  bias c(o)
  output y(..., (o) as 3)
}
'''
"""Every kind of declaration that an emitted file speaks of."""


def tried(attempt: Callable[[], str]) -> str | None:
    """What an attempt makes, or None where it is refused by a clean error."""
    try:
        return attempt()
    except (tncompile.CompileError, ValueError, TypeError) as error:
        message = str(error)
        assert message
        assert not {c for c in message if category(c) in UNSEEN} - {"\n"}, ascii(message)
        return None


def emitted(text: str, *, name: str = "a.tn") -> str:
    """The file of the block."""
    return tncompile.loads(text, name=name).instantiate("A").source(search="fast")


@cache
def harmless() -> str:
    """The skeleton of the file of the block as it is."""
    return skeleton(emitted(SPEC))


def assert_the_same(text: str) -> None:
    """The same code but for texts, or a clean error."""
    due = harmless()
    source = tried(lambda: emitted(text))
    assert source is None or skeleton(source) == due


# ── the functions that write ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", [*TEXTS, *PIECES], ids=ascii)
def test_what_is_written_is_read(text: str) -> None:
    (line,) = [writer.comment(text)]
    assert not ast.parse(f"{line}\n{line}\n".encode()).body
    assert all(not ast.parse(one.encode()).body for one in writer.comment_lines(text))
    for indent in (0, 60):
        literal = ast.literal_eval(f"({' '.join(writer.string_lines(text, indent=indent))})")
        assert (
            literal == writer.string(text) == text or ast.literal_eval(writer.string(text)) == text
        )
        assert literal == ast.literal_eval(writer.string(text)) == text
        field = " ".join(writer.string_lines(text, "{3 + 4}", indent=indent))
        assert eval(f"({field})") == f"{text}7"
    assert writer.statement("x = 1", text)[-1].startswith("x = 1")
    assert len(ast.parse("\n".join(writer.statement("x = 1", text)).encode()).body) == 1
    for lines in ([text], [text, text], ["", text], [text, ""]):
        written = "\n".join(writer.docstring(lines))
        (statement,) = ast.parse(written.encode()).body
        assert isinstance(statement, ast.Expr)
        value = ast.literal_eval(statement.value)
        due, found = "\n".join(lines).split("\n"), value.split("\n")
        assert [one.rstrip() for one in found[: len(due)]] == [one.rstrip() for one in due]
        assert not "".join(found[len(due) :])


def test_nothing_else_writes_texts() -> None:
    folder = Path(writer.__file__).parent
    for path in sorted(folder.glob("*.py")):
        if path.name == "writer.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                text = "".join(
                    part.value if isinstance(part, ast.Constant) else "\0" for part in node.values
                )
                quoted = '"""' in text or '"\0"' in text or "'\0'" in text or "  # \0" in text
                assert not quoted, f"{path.name}:{node.lineno} writes a text by itself"


# ── the spec ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_comments_stay_comments(text: str) -> None:
    """One behind every token of the file."""
    tokens, _ = tokenize(SourceFile("a.tn", SPEC))
    changed = f"# {text}\n" + "".join(f"{token.text} # {text}\n" for token in tokens)
    assert_the_same(changed)
    if text.isprintable() or set(text) & {"\u2028", "\u2029", "\u202e"}:
        assert emitted(changed), "no comment is refused for its words"


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_docs_stay_docs(text: str) -> None:
    assert_the_same(SPEC.replace("A block.", text))
    source = tried(lambda: emitted(SPEC.replace("more than one", text), name=text))
    assert source is None or skeleton(source) == harmless()


NAMES = ("A", "n", "m", "i", "v", "r", "x", "ids", "U", "V", "c", "y", "k", "normal", "frozen")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_words(name: str) -> None:
    tokens, _ = tokenize(SourceFile("a.tn", SPEC))
    for text in PIECES:
        changed = "".join(
            f"{f'{name}{text}z' if token.text == name else token.text} " for token in tokens
        )
        tried(lambda changed=changed: tncompile.loads(changed).describe())


# ── TARGET and arguments ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_targets_and_arguments_stay_out(text: str) -> None:
    spec = tncompile.loads(SPEC)
    block = spec.instantiate("A", n=3)
    tries = [
        lambda: spec.instantiate(f"A(n = 3 # {text}\n)").source(search="fast"),
        lambda: spec.instantiate(f"A(n = 3){text}").source(search="fast"),
        lambda: spec.instantiate(text).source(search="fast"),
        lambda: spec.instantiate("A", n=text).source(search="fast"),
        lambda: spec.instantiate("A", many=[2, text]).source(search="fast"),
        lambda: spec.instantiate("A", **{text: 3}).source(search="fast"),
        lambda: block.source(search=text),
        lambda: block.source(minimize=text, search="fast"),
        lambda: block.source(machine=text, search="fast"),
        lambda: block.source(sizes={text: 3}, search="fast"),
        lambda: block.source(shard=text, search="fast"),
    ]
    due = (harmless(), skeleton(block.source(search="fast")))
    for attempt in tries:
        source = tried(attempt)
        assert source is None or skeleton(source) in due


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_equations_stay_equations(text: str) -> None:
    def written(equation: str, **named: str) -> str:
        return tncompile.from_einsum(equation, (None, 3), (3, 2), **named).source(search="fast")

    due = skeleton(written("bi,io->bo"))
    for equation in (f"bi{text},io->bo", f"bi,io->bo{text}", f"{text}bi,io->bo", text):
        source = tried(lambda equation=equation: written(equation))
        assert source is None or skeleton(source) == due
    with pytest.raises((ValueError, TypeError)):
        written("bi,io->bo", name=text)


# ── the lock and the profile ───────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Architecture, Path]:
    """A block of run-time sizes whose plan has variants, kept in a file."""
    file = tmp_path_factory.mktemp("lock") / "a.tnlock"
    text = (
        "network A() { index i = 64, o = 64 bond r = 4 batch n input x(..., n, i)"
        " tensor W(i, r) tensor V(r, o) output y(..., n, o) }"
    )
    made = tncompile.loads(text).instantiate().locked(file)
    planned = made.plan((1, 64, 4096))
    assert len(planned.variants) > 2
    stored = json.loads(file.read_text(encoding="utf-8"))
    stored["plans"][0]["plan"]["tuned"] = "a machine"
    file.write_text(json.dumps(stored), encoding="utf-8")
    return made, file


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_texts_of_a_lock_stay_texts(
    locked: tuple[Architecture, Path], tmp_path: Path, text: str
) -> None:
    """In every place that holds a text, found by walking: new ones are covered by themselves."""
    made, file = locked
    stored = json.loads(file.read_text(encoding="utf-8"))
    due = skeleton(_from(made, stored, tmp_path) or "")
    assert due
    together = json.loads(json.dumps(stored))
    taken = 0
    for places in _texts(stored).values():
        alone = json.loads(json.dumps(stored))
        for place in places:
            hostile.at(alone, place[:-1])[place[-1]] = text
        if _from(made, alone, tmp_path, emit=False) is not None:
            taken += 1
            for place in places:
                hostile.at(together, place[:-1])[place[-1]] = text
    assert skeleton(_from(made, together, tmp_path) or "") == due
    plain = not any(category(c) in UNSEEN for c in text)
    assert bool(taken) == plain
    for place in list(hostile.places(stored)):
        held = hostile.at(stored, place)
        if isinstance(held, dict) and "sizes" in place[-1:] and "request" not in place:
            renamed = hostile.changed(stored, place, dict.fromkeys([text], 64))
            assert _from(made, renamed, tmp_path, emit=False) is None


def _texts(stored: object) -> dict[hostile.Path, list[hostile.Path]]:
    """The places of texts, by what they are."""
    found: dict[hostile.Path, list[hostile.Path]] = {}
    for place in hostile.places(stored):
        if isinstance(hostile.at(stored, place), str):
            found.setdefault(hostile.kind(place), []).append(place)
    return found


def _from(made: Architecture, stored: object, folder: Path, *, emit: bool = True) -> str | None:
    """The file that a lock makes; None where its plan is not used."""
    file = folder / "b.tnlock"
    file.write_text(json.dumps(stored), encoding="utf-8")
    held: Lock = read_lock(file)
    (entry,) = list(held.entries.values()) or [None]
    if entry is None or entry.key.target != "A":
        return None
    key = entry.key
    request = replace(
        plan_request(made.network, batch=key.batch, training=key.training),
        named=tuple(key.sizes.items()),
        minimize=key.minimize,
        search=key.search,
        memory_limit=key.memory_limit,
        profile=replace(BUILTIN, name=key.machine),
    )
    found, _ = held.find(made.network, request)
    if found is None:
        return None
    return made.source(plan=found) if emit else ""


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_texts_of_a_profile_stay_texts(tmp_path: Path, text: str) -> None:
    stored = json.loads(profile_text(BUILTIN))
    made = tncompile.from_einsum("bi,io->bo", (None, 3), (3, 2))
    due = skeleton(made.source(search="fast"))
    for place in _texts(stored).values():
        file = tmp_path / "machine.json"
        file.write_text(json.dumps(hostile.changed(stored, place[0], text)), encoding="utf-8")
        source = tried(lambda file=file: made.source(search="fast", machine=str(file)))
        assert source is None or skeleton(source) == due
