"""Attributes of a tensor or a bias (`init share tie frozen if`) as functions of the subscripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.evaluating.arithmetic import is_number, wrong_type
from tncompile.language.evaluating.compiled import CompiledExpression, Frame, compile_expression
from tncompile.language.evaluating.scope import Scope
from tncompile.language.resolved import ResolvedInit, SchemeName
from tncompile.language.syntax.tree import Attribute, Frozen, If, Scheme, Share, Tie


@dataclass(frozen=True, slots=True)
class Attributes:
    """What stands after the legs, compiled."""

    condition: CompiledExpression | None
    scheme: Scheme | None
    argument: CompiledExpression | None
    share: Share | None
    tie: Tie | None
    tie_subscripts: tuple[CompiledExpression, ...]
    frozen: bool

    @property
    def steps(self) -> int:
        """What one member costs."""
        formulas = (self.condition, self.argument, *self.tie_subscripts)
        return 1 + sum(formula.steps for formula in formulas if formula is not None)

    @property
    def absent(self) -> bool:
        """Whether no member exists, whatever its subscripts; raises `Failed`."""
        condition = self.condition
        return condition is not None and not condition.steps and not condition.truth({})

    def exists(self, frame: Frame) -> bool:
        """Whether the member is there; raises `Failed`."""
        return self.condition is None or self.condition.truth(frame)

    def init(self, frame: Frame, default: SchemeName) -> ResolvedInit:
        """How the member starts; raises `Failed`."""
        if self.scheme is None:
            return ResolvedInit(default)
        name = cast(SchemeName, self.scheme.name.text)
        if self.argument is None:
            return ResolvedInit(name)
        value = self.argument.run(frame)
        if not is_number(value):
            raise wrong_type(self.argument.node.span, value, "a number")
        if value < 0:
            raise _negative(self.argument, value)
        return ResolvedInit(name, float(value))


def _negative(argument: CompiledExpression, value: float) -> Failed:
    return failure(
        Code.WRONG_ARGUMENT,
        "the argument of a scheme cannot be negative",
        argument.node.span,
        f"this is {value}",
        notes=("`normal` takes a standard deviation, `uniform` the bound of its range",),
        hint="give the magnitude",
    )


def compile_attributes(
    attributes: tuple[Attribute, ...], scope: Scope, variables: frozenset[str]
) -> Attributes:
    """The attributes as functions of the subscripts `variables`; raises `Failed`."""
    condition = next((a.condition for a in attributes if isinstance(a, If)), None)
    scheme = next((a for a in attributes if isinstance(a, Scheme)), None)
    share = next((a for a in attributes if isinstance(a, Share)), None)
    tie = next((a for a in attributes if isinstance(a, Tie)), None)
    argument = scheme.arguments[0].value if scheme is not None and scheme.arguments else None
    return Attributes(
        None if condition is None else compile_expression(condition, scope, variables),
        scheme,
        None if argument is None else compile_expression(argument, scope, variables),
        share,
        tie,
        tuple(compile_expression(node, scope, variables) for node in tie.subscripts) if tie else (),
        any(isinstance(attribute, Frozen) for attribute in attributes),
    )
