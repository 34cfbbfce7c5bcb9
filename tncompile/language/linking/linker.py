"""Following imports, naming blocks, and the checks that need no arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import tncompile.language.linking.importing as importing
from tncompile.language.checking import check_block
from tncompile.language.diagnostics.collector import Problems, Suggestions, listed, problem
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic, Label
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.linked import LinkedBlock, LinkedProgram, ParameterSummary
from tncompile.language.linking.instances import File, link_instance, resolve_instances
from tncompile.language.linking.rewrites import check_rewrite
from tncompile.language.parsing import parse
from tncompile.language.parsing.lexer import one_line
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import SourceFile, Span
from tncompile.language.syntax.walk import children, walk
from tncompile.language.typing.checking import check_model

_DEEPEST_IMPORT = 50

_FILES_KEPT = 64
"""More than the library has."""

_IN_LIBRARY = importing.Location(importing.LIBRARY, importing.LIBRARY)


def link(
    source: SourceFile, *, folder: Path | None = None, root: Path | None = None
) -> LinkedProgram:
    """The program in `source` with its imports followed, its blocks and instances checked.

    Imports are looked up in `folder` (by default the root) and stay under `root` (by default the
    folder); without either, only the library can be imported. Raises `CompileError`.
    """
    here = folder if folder is not None else root
    source = importing.named_in_library(source)
    location = importing.Location(here, root if root is not None else folder)
    return _link_in_library(source) if location == _IN_LIBRARY else _link(source, location)


def _link(source: SourceFile, location: importing.Location) -> LinkedProgram:
    here = location.folder
    program = parse(source)
    stack = () if here is None else ((here / Path(source.name).name).resolve(),)
    linker = Linker()
    file = linker.file(program, location, stack)
    linker.problems.raise_errors()
    instances = resolve_instances(file.blocks)
    problems = Problems(w for w in linker.problems.warnings if w.primary.span.source is source)
    problems.extend(_unused_imports(program, file))
    return LinkedProgram(source, program, file.blocks, problems.warnings, instances)


# The library ships with tncompile and stays what it is while a process runs: each of its files is
# linked once, which takes 5 to 200 ms.


@lru_cache(_FILES_KEPT)
def _link_in_library(source: SourceFile) -> LinkedProgram:
    return _link(source, _IN_LIBRARY)


@lru_cache(_FILES_KEPT)
def _imported_from_library(target: importing.ImportedFile) -> tuple[File, tuple[Diagnostic, ...]]:
    """What a file of the library declares, and what is wrong with it."""
    linker = Linker()
    file = linker.file(parse(target.source), target.location, (target.path,))
    return file, (*linker.problems.errors, *linker.problems.warnings)


class Linker:
    """Links files, each once."""

    def __init__(self) -> None:
        self.problems = Problems()
        self.suggestions = Suggestions()
        self._files: dict[Path, File | None] = {}

    def file(
        self, program: tree.Program, location: importing.Location, stack: tuple[Path, ...]
    ) -> File:
        """Everything that the file declares; `stack` are the files whose imports led here."""
        own = (d for d in program.declarations if not isinstance(d, tree.Import))
        file = File(own={declaration.name.text: declaration for declaration in own})
        for declaration in program.declarations:
            match declaration:
                case tree.Import():
                    self._import(declaration, program.source, location, stack, file)
                case tree.Block(kind):
                    check = check_block(declaration, self.suggestions)
                    if kind == "model":
                        above = {*file.blocks, *file.lost}
                        check = check_model(
                            declaration, above, file.own, file.open, self.suggestions
                        )
                    self.problems.extend(check)
                    self._add_block(_linked(declaration, file), declaration.name.span, file)
                case tree.Rewrite():
                    self.problems.extend(check_rewrite(declaration, file, self.suggestions))
                    self._add_block(_linked(declaration, file), declaration.name.span, file)
                case tree.Instance():
                    block = link_instance(declaration, file, self.problems, self.suggestions)
                    if block is None:
                        file.lost.add(declaration.name.text)
                    else:
                        self._add_block(block, declaration.name.span, file)
        return file

    def _add_block(self, block: LinkedBlock, place: Span, file: File) -> None:
        """Keep the block that `place` brings into the file; TN202 where its name is there."""
        earlier = file.places.get(block.name)
        if earlier is not None:
            message, first = f"`{block.name}` is declared twice", Label(earlier, "first here")
            note = "a file has one block of each name, imported ones included"
            hint = (
                'rename one of the two, or import what you need alone: `import "file.tn" { A, B }`'
            )
            code, label = Code.DECLARED_TWICE, "again here"
            self.problems.add(problem(code, message, place, label, note, hint, first))
            return
        file.blocks[block.name] = block
        file.places[block.name] = place

    def _import(
        self,
        declaration: tree.Import,
        importer: SourceFile,
        location: importing.Location,
        stack: tuple[Path, ...],
        file: File,
    ) -> None:
        written, imported = declaration.path, None
        try:
            target = importing.find_import(written, importer, location)
            if target.path in stack or len(stack) > _DEEPEST_IMPORT:
                message, label = f'"{written.value}" imports this file in turn', "a cycle"
                if target.path not in stack:
                    message = f'importing "{written.value}" nests imports too deep'
                    label = f"more than {_DEEPEST_IMPORT} files deep"
                note = "every block is declared before it is used, in other files too"
                code, hint = Code.IMPORT_FAILED, "move what both files need to a third one"
                raise CompileError((problem(code, message, written.span, label, note, hint),))
            if target.path not in self._files:
                self._files[target.path] = None  # where it fails, it is reported once
                self._files[target.path] = self._imported(target, stack)
            imported = self._files[target.path]
        except CompileError as error:
            self.problems.extend(error.diagnostics)
        if imported is None:
            file.lost.update(name.text for name in declaration.names or ())
            file.open = file.open or declaration.names is None
        elif declaration.names is None:
            for block in imported.blocks.values():
                if not block.imported and block.kind != "rewrite":
                    self._add_block(replace(block, imported=True), declaration.path.span, file)
            file.open = file.open or imported.open
        else:
            for wanted in declaration.names:
                self._import_name(wanted, declaration, imported, file)

    def _imported(self, target: importing.ImportedFile, stack: tuple[Path, ...]) -> File:
        if target.location == _IN_LIBRARY:
            file, problems = _imported_from_library(target)
            self.problems.extend(problems)
            return file
        return self.file(parse(target.source), target.location, (*stack, target.path))

    def _import_name(
        self, name: tree.Name, declaration: tree.Import, imported: File, file: File
    ) -> None:
        block = imported.blocks.get(name.text)
        if block is not None and block.kind != "rewrite":
            self._add_block(replace(block, imported=True), name.span, file)
            return
        file.lost.add(name.text)
        file.lost.update(imported.blocks)  # one of them was meant, and is used by its own name
        if imported.may_be_lost(name.text):
            return
        offered = [block.name for block in imported.blocks.values() if block.kind != "rewrite"]
        close = self.suggestions.closest(name.text, offered)
        message = f'"{declaration.path.value}" has no block `{name.text}`'
        if block is not None:
            message = f"`{name.text}` is a rewrite, which cannot be imported"
        note = f"it offers {listed(offered)}" if offered else "it offers no blocks"
        hint = f"did you mean `{close}`?" if close else "import one of these"
        code, label = Code.UNKNOWN_NAME, "not in that file"
        path = Label(declaration.path.span, "imported from here")
        self.problems.add(problem(code, message, name.span, label, note, hint, path))


def _linked(definition: tree.Block | tree.Rewrite, file: File) -> LinkedBlock:
    name, doc = definition.name, definition.doc
    if isinstance(definition, tree.Rewrite):
        return LinkedBlock(
            name.text, "rewrite", (), doc, name.span, definition, scope=dict(file.blocks)
        )
    parameters = tuple(
        ParameterSummary(
            parameter.name.text,
            one_line(parameter.type.span),
            None if parameter.default is None else one_line(parameter.default.span),
        )
        for parameter in definition.parameters
    )
    return LinkedBlock(
        name.text, definition.kind, parameters, doc, name.span, definition, scope=file.blocks
    )


def _unused_imports(program: tree.Program, file: File) -> Iterator[Diagnostic]:
    """TN204: an import of which no name is used; a file of imports alone hands them on."""
    imports = [d for d in program.declarations if isinstance(d, tree.Import)]
    if len(imports) == len(program.declarations):
        return
    used = _blocks_used(program)
    for declaration in imports:
        path, names = declaration.path, declaration.names
        if names is not None:
            unused = [(f"`{name.text}`", name.span) for name in names if name.text not in used]
        else:
            brought = {name for name, place in file.places.items() if place == path.span}
            unused = [] if brought & used else [(f'"{path.value}"', path.span)]
        for what, span in unused:
            message, hint = f"the import {what} is never used", "use it, or remove it"
            note = "imported blocks can still be named as a target"
            yield problem(Code.NEVER_USED, message, span, "never used", note, hint)


def _blocks_used(program: tree.Program) -> set[str]:
    """Every name that may be a block's: targets of instances, rewrites, and all names in models."""
    expressions: list[tree.Expression] = []
    for declaration in program.declarations:
        match declaration:
            case tree.Instance(_, _, target):
                expressions.append(target)
            case tree.Rewrite(_, rules):
                expressions += [rule.target for rule in rules if rule.target is not None]
            case tree.Block("model", _, _, statements):
                for statement in statements:
                    expressions.extend(children(statement))
            case _:
                pass
    return {node.name.text for node in walk(*expressions) if isinstance(node, tree.Reference)}
