"""The states of `step`: who has them, what they hold, which ones are refused."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.support.stepped import PIECES, going
from tests.support.stepping import LENGTH, Going, State, close
from tests.support.stepping_programs import PROGRAMS

# ── the module ────────────────────────────────────────────────────────────────────────────────────


def test_copies_go_on_from_the_same_state() -> None:
    one = going("nested")
    inputs = one.inputs()
    _, state = one.fed(inputs, (3,))
    later = [x.narrow(1, 3, LENGTH - 3) for x in inputs]
    due, _ = one.fed(later, (LENGTH - 3,), state)
    for module in (copy.deepcopy(one.module), pickle.loads(pickle.dumps(one.module))):
        close(Going(one.model, module).fed(later, (LENGTH - 3,), state)[0], due)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode: type) -> None:
    one = going("nested")
    inputs = one.inputs()
    with mode():
        results, _ = one.fed(inputs, PIECES[0])
        close(results, one.whole(inputs))


def test_gradients_reach_back_through_the_state() -> None:
    one = going("nested")
    inputs = [x.requires_grad_() for x in one.inputs()]
    results, _ = one.fed(inputs, PIECES[0])
    made = torch.autograd.grad(results[0].square().sum(), inputs)
    close(made, torch.autograd.grad(one.whole(inputs)[0].square().sum(), inputs))


def test_gradients_end_where_the_state_is_detached() -> None:
    """Truncated backpropagation through time: of the last piece alone."""
    one = going("recurrent")
    (x,) = one.inputs()
    _, state = one.module.step(x[:, :3])
    assert all(tensor.requires_grad for tensor in state)
    state = tuple(tensor.detach() for tensor in state)
    (y, _), _ = one.module.step(x[:, 3:], state)
    (due, _) = one.module.gru(x[:, 3:], *state)
    weights = [*one.module.parameters()]
    made = torch.autograd.grad(y.square().sum(), weights)
    close(made, torch.autograd.grad(due.square().sum(), weights))


def test_steps_are_in_evaluation_mode_whatever_the_module_is_in() -> None:
    one = Going.of(PROGRAMS["dropout"])
    inputs = one.inputs()
    due = one.whole(inputs)
    one.module.train()
    modes = [part.training for part in one.module.modules()]
    close(one.fed(inputs, PIECES[0])[0], due)
    assert [part.training for part in one.module.modules()] == modes


def test_requirements_speak_of_all_entries_so_far() -> None:
    one = going("places")  # up to 9
    _, state = one.fed(one.inputs(), (LENGTH,))
    more = one.inputs(2)
    with pytest.raises(ValueError, match=r"^long: `t <= 9` is false: 10 <= 9"):
        one.module.step(*more, state=state)


def test_sizes_that_were_not_decided_are_those_of_all_entries_so_far() -> None:
    one = going("places without a bound")
    _, state = one.fed(one.inputs(), (LENGTH,))
    with pytest.raises(ValueError, match=r"10 <= 9"):
        one.module.step(*one.inputs(2), state=state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state[:-1], r"7 tensors are expected, got 6$"),
        (lambda state: (*state, state[0]), r"7 tensors are expected, got 8$"),
        (lambda state: (), r"it has too few tensors$"),
        (
            lambda state: tuple(x[:1] for x in state),
            r"axes of `...` must be as in every input: \(2,\), got shape \(1, 3\)$",
        ),
        (
            lambda state: (*state[:3], state[3][:1], *state[4:]),
            r"tensor 3 must be \(2, \*, 4\), torch.float64 on cpu, got \(1, 3, 4\), torch.float64",
        ),
        (
            lambda state: (state[0], *(x[..., :3] for x in state[1:])),
            r"tensor 1 must be \(2, \*, 4\), torch.float64 on cpu, got \(2, 3, 3\), torch.float64",
        ),
        (
            lambda state: tuple(x.to("meta") for x in state),
            r"tensor 0 must be \(2, \*\), torch.bool on cpu, got \(2, 3\), torch.bool on meta$",
        ),
    ],
)
def test_states_of_something_else_are_refused(
    change: Callable[[State], State], message: str
) -> None:
    one = going("nested")
    pieces = [x.split([3, 1, LENGTH - 4], dim=1) for x in one.inputs()]
    first, second, _ = zip(*pieces, strict=True)
    _, state = one.module.step(*first)
    with pytest.raises(ValueError, match=f"^state: .*{message}"):
        one.module.step(*second, state=change(state))


@pytest.mark.parametrize("name", ["running sums", "scan", "recurrent"])
def test_states_that_would_be_broadcast_are_refused(name: str) -> None:
    one = going(name)
    _, state = one.fed(one.inputs(), (3,))
    axis = 1 if name == "recurrent" else 0
    with pytest.raises(ValueError, match=r"^state: "):
        one.fed(one.inputs(), (1,), tuple(x.narrow(axis, 0, 1) for x in state))


def test_states_of_another_dtype_are_refused() -> None:
    one = going("nested")
    x, *_ = one.inputs()
    _, state = one.module.step(x[:, :3])
    narrow = copy.deepcopy(one.module).float()
    due = r"^state: .*tensor 1 must be \(2, \*, 4\), torch.float32 on cpu, got .*, torch.float64"
    with pytest.raises(ValueError, match=due):
        narrow.step(x[:, 3:].float(), state)


def test_errors_that_are_not_of_the_state_are_left() -> None:
    one = going("places")  # up to 9
    _, state = one.fed(one.inputs(), (LENGTH,))
    with torch.no_grad(), pytest.raises(ValueError, match=r"^long: `t <= 9`"):
        one.module.step(*one.inputs(2), state=state)


# ── what is held ──────────────────────────────────────────────────────────────────────────────────


def test_what_comes_of_held_inputs_is_computed_once() -> None:
    one = going("an encoder and decoders")
    calls: Counter[str] = Counter()
    hooks = [
        part.register_forward_hook(lambda *_, name=name: calls.update([name]))
        for name, part in one.module.named_modules()
        if isinstance(part, nn.Linear)
    ]
    one.fed(one.inputs(), (3, 1, 1, LENGTH - 5))
    for hook in hooks:
        hook.remove()
    once = {"enc", *(f"dec.{k}.cross.{name}" for k in (0, 1) for name in "kv")}
    assert {name for name, count in calls.items() if count == 1} == once
    assert {calls[name] for name in calls.keys() - once} == {4}


def test_beams_are_reordered_with_the_state_alone() -> None:
    """Whatever rows go on at each step, what was encoded goes with them."""
    one = going("an encoder and decoders")
    m, x = one.inputs()
    drawn = torch.Generator().manual_seed(0)
    own, beams = torch.arange(len(m)), x[:, :1]
    y, state = one.module.step(m, beams)
    for k in range(1, LENGTH):
        order = torch.randint(len(m), (len(m),), generator=drawn)
        own, beams, y = own[order], torch.cat((beams[order], x[:, k : k + 1]), 1), y[order]
        last, state = one.module.step(m, x[:, k : k + 1], tuple(each[order] for each in state))
        y = torch.cat((y, last), 1)
    close([y], one.whole((m[own], beams)))


def test_held_inputs_of_another_shape_are_refused() -> None:
    one = going("attention to what is held")
    x, m = one.inputs()
    _, state = one.module.step(x[:, :3], m)
    with pytest.raises(ValueError, match=r"same at all steps.* \(2, 3, 4\) .* now \(2, 2, 4\)"):
        one.module.step(x[:, 3:], m[:, :2], state)


def test_views_of_what_is_kept_are_not_kept() -> None:
    one = going("pieces of what is held")
    x, m = one.inputs()
    _, state = one.module.step(x, m)
    assert [tensor.shape for tensor in state] == [m.shape, (2, 1, 1)]
