"""What was found of a layer, kept in a folder: a run that was killed does not ask again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass

from tncompile.tensorizing.allocating.options import Option
from tncompile.tensorizing.allocating.subjects import Subject
from tncompile.tensorizing.calibrating.calls import usual_call
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.resuming.answers import Answers
from tncompile.tensorizing.resuming.fits import Part, key_of


@dataclass(frozen=True)
class Memory:
    """Options of layers by all that decides on them; without a folder nothing is kept.

    `moments` are given where costs are times, which are those of the calls that they have seen.
    """

    answers: Answers | None
    moments: Moments | None

    def options(
        self, subject: Subject, find: Callable[[], Sequence[Option]], *asked: Part
    ) -> list[Option]:
        """What `find` finds of a layer, which follows from it and from what is asked."""
        if self.answers is None:
            return [*find()]
        key = key_of(*self._parts(subject), *asked)
        found = self.answers.read(key, _read)
        if found is None:
            found = [*find()]
            self.answers.write(key, [[*astuple(each)] for each in found])
        return found

    def option(self, subject: Subject, find: Callable[[], Option], *asked: Part) -> Option:
        """The same of one option."""
        return self.options(subject, lambda: [find()], *asked)[0]

    def _parts(self, subject: Subject) -> list[Part]:
        parts: list[Part] = [subject.kind, subject.weight, subject.module.extra_repr()]
        parts += [subject.scale, subject.unit, subject.fixed, subject.counts_work]
        parts += [subject.weight.device.type]
        if (metric := subject.metric) is not None:
            parts += [metric.inputs, metric.outputs, metric.damping, *metric.axes]
        if self.moments is not None and subject.sums is not None:
            parts += [repr(usual_call(self.moments, subject.sums, subject.module))]
        return parts


def _read(answer: object) -> list[Option]:
    """Options of JSON. Raises ValueError for what is none."""
    if not isinstance(answer, list) or not answer:
        raise ValueError("it has no options")
    found: list[Option] = []
    for each in answer:
        if not isinstance(each, list) or len(each) != 5:
            raise ValueError("it has something else than options")
        parameters, cost, error, block, arguments = each
        if type(parameters) is not int or parameters < 0:
            raise ValueError("it has no numbers of parameters")
        if not all(type(e) in (int, float) and math.isfinite(e) for e in (cost, error)):
            raise ValueError("it has no costs and errors")
        if not isinstance(block, str | None) or not isinstance(arguments, dict):
            raise ValueError("it names no blocks")
        found.append(Option(parameters, cost, error, block, arguments))
    return found
