"""Reports in a browser as narrow as a phone, by their controls and the keyboard."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import tncompile
from tests.support.browser import needs_browser, said_by
from tncompile.inspection.report.report import Report

DRIVER = """
const frame = document.querySelector('iframe');
frame.onload = () => {
  const page = frame.contentDocument, view = frame.contentWindow, found = {};
  const all = (selector) => [...page.querySelectorAll(selector)];
  const press = (element, key) =>
    element.dispatchEvent(new view.KeyboardEvent('keydown', {key, bubbles: true}));
  for (const details of all('details')) details.open = true;
  found.wide = [page.documentElement.scrollWidth, view.innerWidth];
  found.small = all('svg text').filter((text) => {
    const box = text.ownerSVGElement;
    const shown = box.getBoundingClientRect().width / box.viewBox.baseVal.width;
    return shown && shown * Number(text.getAttribute('font-size')) < 7.5;
  }).map((text) => text.textContent);
  found.steps = all('.contraction').map((part) => {
    const slider = part.querySelector('input[type=range]'), seen = [];
    for (let k = 1; k <= Number(slider.max); k++) {
      slider.value = k;
      slider.dispatchEvent(new view.Event('input'));
      const names = (mark) =>
        [...part.querySelectorAll('.picture [data-tensor].' + mark)].map((g) => g.dataset.tensor);
      seen.push({
        say: part.querySelector('.say').textContent,
        first: names('first'),
        second: names('second'),
        ending: [...part.querySelectorAll('.picture g.leg.ending')].map((g) => g.dataset.leg),
        rung: [...part.querySelectorAll('.tree g.tensor.rung circle')].length,
        row: [...part.querySelectorAll('tr.now')].map((row) => row.textContent),
        code: [...part.querySelectorAll('pre span.now')].map((line) => line.textContent),
        bars: part.querySelectorAll('[data-step].now').length,
      });
    }
    part.querySelector('.back').click();
    seen.push({say: part.querySelector('.say').textContent});
    return seen;
  });
  const picture = page.querySelector('.picture'), info = page.querySelector('.info');
  found.keys = ['ArrowRight', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'ArrowLeft'].map((key) => {
    press(picture, key);
    return info.textContent;
  });
  found.bonds = all('.bonds').map((part) => {
    const slider = part.querySelector('input[type=range]'), said = [];
    const choice = part.querySelector('select');
    choice.value = choice.options[choice.options.length - 1].value;
    choice.dispatchEvent(new view.Event('change'));
    for (let k = 1; k <= Number(slider.max); k++) {
      slider.value = k;
      slider.dispatchEvent(new view.Event('input'));
      said.push(part.querySelector('.say').textContent);
    }
    return said;
  });
  page.querySelector('nav a:last-child').click();
  found.place = view.location.href;
  found.spec = all('.sources').map((part) => {
    const [spec, code] = part.querySelectorAll('pre');
    press(spec, 'ArrowDown');
    return [spec, code].map((each) =>
      [...each.querySelectorAll('.now')].map((line) => line.textContent));
  });
  document.body.innerHTML = '<pre>' + JSON.stringify(found).replace(/</g, '\\\\u003c') + '</pre>';
};
"""


def driven(report: Report, folder: Path) -> Any:
    """What a reader with a phone sees and hears."""
    style = "width:390px;height:844px;border:0"
    frame = f'<iframe style="{style}" srcdoc="{escape(report.html)}"></iframe>'
    page = f'<!doctype html><meta charset="utf-8"><body>{frame}<script>{DRIVER}</script></body>'
    return said_by(page, folder)


@needs_browser
def test_a_network(tmp_path: Path) -> None:
    arch = tncompile.load("std/linear.tn").instantiate(
        "MPO(ins = [4, 8, 8], outs = [8, 8, 4], ranks = 8)"
    )
    cost = arch.cost(batch=64, search="fast")
    module = arch.module(seed=3, search="fast")
    seen = driven(arch.report(batch=64, search="fast", weights=module), tmp_path)
    assert seen["wide"][0] <= seen["wide"][1] == 390
    assert seen["small"] == []
    (steps,) = seen["steps"]
    operands = [({"G[1]"}, {"G[2]"}), (set(), {"G[1]", "G[2]"}), ({"G[1]", "G[2]"}, {"G[0]"})]
    ending = [{"b[1]"}, {"i[1]", "i[2]"}, {"b[0]", "i[0]"}]
    for number, (step, figures) in enumerate(zip(steps, cost.steps, strict=False), 1):
        assert step["say"].startswith(f"{figures.result} = {figures.contraction} ")
        assert (set(step["first"]), set(step["second"])) == operands[number - 1]
        assert set(step["ending"]) == ending[number - 1]
        assert step["rung"] == 1
        assert figures.contraction in step["row"][0]
        assert f"[{number}]" in "".join(step["code"])
        assert step["bars"] >= 1
    assert steps[-1]["say"] == steps[-3]["say"]  # one back
    assert len(set(seen["keys"])) > 2
    bonds = arch.bonds(module)
    (said,) = seen["bonds"]
    for rank, words in enumerate(said, 1):
        assert words.startswith(f"rank {rank} of 8: relative error ")
        other = cost.resized("b[1]", rank)
        assert f"{other.inference.parameters:,} parameters" in words
        error = float(words.split("error ")[1].split(" %")[0])
        assert abs(error - 100 * bonds["b[1]"].truncation_error(rank)) <= 0.005 * error + 1e-4
    assert seen["place"] == "about:srcdoc#source"
    ((declared, generated),) = seen["spec"]
    assert "tensor G[k in 0..sites]" in declared[0]
    assert generated
    assert all("self.G" in line for line in generated)


@needs_browser
def test_a_model(tmp_path: Path) -> None:
    model = tncompile.load("std/transformer.tn").instantiate(
        "LanguageModel(depth = 2, width = 32, heads = 2, vocab = 50, context = 16, dense = false,"
        " rank = 2)"
    )
    seen = driven(model.report(batch=2, search="fast", sizes={"t": 8}), tmp_path)
    assert seen["wide"][0] <= seen["wide"][1] == 390
    assert seen["small"] == []
    assert len(seen["steps"]) == len(model.networks)
    assert all(step["rung"] == 1 for steps in seen["steps"] for step in steps[:-1])
    assert any("embed" in words for words in seen["keys"])


@needs_browser
def test_folded_steps_have_a_rung(tmp_path: Path) -> None:
    """More than 40 steps of unequal sizes: each lights up what it is drawn as."""
    text = (
        "network N() {\nindex i = 4\nbond w[k in 1..29] = 1 + k, t[k in 0..28] = 2 + k % 2\n"
        "input x(..., i)\ntensor t1(i, t[0])\n"
        "tensor G[k in 1..29](t[k - 1], w[k], t[k]?)\ntensor V[k in 1..29](w[k])\n"
        "output y(...)\n}"
    )
    arch = tncompile.loads(text).instantiate()
    seen = driven(arch.report(batch=2, search="fast"), tmp_path)
    (steps,) = seen["steps"]
    assert len(steps) > 41
    assert all(step["rung"] == 1 for step in steps[:-1])
