"""Drawings in a browser, where there is one: its own fonts, its own boxes.

Debian's `chromium` is enough; a page with a script of its own measures what it shows.
"""

from __future__ import annotations

from pathlib import Path

from tests.inspection.drawing.random_networks import random_network
from tests.inspection.drawing.test_models import MODELS
from tests.support.browser import needs_browser, said_by
from tests.support.library import architecture
from tncompile.inspection.drawing.networks.draw import network_scene
from tncompile.inspection.drawing.svg import svg_of

DRAWINGS = Path(__file__).parents[3] / "docs" / "drawings"

SCRIPT = """
const found = [];
for (const svg of document.querySelectorAll('svg')) {
  const name = svg.querySelector('title').textContent;
  const inner = (r, d) => ({l: r.left + 1, r: r.right - 1, t: r.top + d, b: r.bottom - d});
  const over = (a, b) => Math.min(a.r, b.r) - Math.max(a.l, b.l) > 0.5
    && Math.min(a.b, b.b) - Math.max(a.t, b.t) > 0.5;
  const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim());
  const boxes = texts.map(t => inner(t.getBoundingClientRect(), 2.5));
  const whole = svg.getBoundingClientRect();
  texts.forEach((text, k) => {
    const box = boxes[k];
    if (box.l < whole.left - 1 || box.r > whole.right + 1)
      found.push(name + ': outside: ' + text.textContent);
    for (let m = k + 1; m < texts.length; m++)
      if (over(box, boxes[m]))
        found.push(name + ': ' + text.textContent + ' on ' + texts[m].textContent);
  });
  for (const group of svg.querySelectorAll('g.tensor')) {
    const shape = group.querySelector('rect, path, circle');
    if (!shape || shape.classList.contains('bg')) continue;
    const node = inner(shape.getBoundingClientRect(), 1);
    texts.forEach((text, k) => {
      if (!group.contains(text) && over(boxes[k], node))
        found.push(name + ': ' + text.textContent + ' on ' + group.dataset.tensor);
      if (group.contains(text) && group.querySelectorAll('g').length === 0
          && (boxes[k].l < node.l - 4 || boxes[k].r > node.r + 4))
        found.push(name + ': sticks out: ' + text.textContent);
    });
  }
}
document.body.innerHTML = '<pre>' + JSON.stringify(found).replace(/</g, '\\\\u003c') + '</pre>';
"""


def measured(pictures: list[str], folder: Path) -> list[str]:
    """What a browser finds wrong with pictures."""
    body = "".join(f"<div>{picture}</div>" for picture in pictures)
    faults: list[str] = said_by(
        '<!doctype html><meta charset="utf-8"><style>svg{max-width:none!important}</style>'
        f"<body>{body}<script>{SCRIPT}</script></body>",
        folder,
    )
    return faults


def pictures() -> list[str]:
    """Those of the docs, models of the library, and networks that nobody drew."""
    found = [path.read_text(encoding="utf-8") for path in sorted(DRAWINGS.glob("*.svg"))]
    found += [architecture(file, target).draw().svg for file, target in MODELS]
    return found + [svg_of(network_scene(random_network(seed))) for seed in range(20)]


@needs_browser
def test_no_text_is_on_another_or_on_a_node(tmp_path: Path) -> None:
    assert measured(pictures(), tmp_path) == []


@needs_browser
def test_the_measure_sees_type_that_is_too_large(tmp_path: Path) -> None:
    picture = (DRAWINGS / "mera.svg").read_text(encoding="utf-8")
    large = picture.replace("<text", "<text style='font-size:30px'")
    assert measured([large], tmp_path) != []
