"""Reports: one safe file, numbers that are those of the API, lines of each step."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import tncompile
from tncompile.inspection.report.report import Report
from tncompile.inspection.report.source import contracting_method
from tncompile.planning.wording import bytes_text, count_text, seconds_text

MPO = "MPO(ins = [4, 8, 8], outs = [8, 8, 4], ranks = 8)"

HOSTILE = '''
"""</pre><script>alert(1)</script> & "quotes" </style></title><img src=x onerror=alert(2)>"""
network Evil(n: int = 3) {
  # </script><script>alert(3)</script> <!-- <svg onload=alert(4)>
  require 1 < 2 and n < 9, "</p><script>alert(5)</script>"
  index i[k in 0..n] = 4, o[k in 0..n] = 2
  bond b[k in 0..n - 1] = 3
  input x(..., (i[*]))
  tensor G[k in 0..n](b[k - 1]?, i[k]?, o[k]?, b[k]?)
  output y(..., (o[*]))
}
'''


class _Reading(HTMLParser):
    """The elements of a page, its texts, and what would load or run something."""

    VOID = frozenset(["meta", "input", "br", "img", "link"])

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.names: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag not in self.VOID:
            self.stack.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "xlink:href") or name.startswith("on"):
                self.loads.append(f"{tag} {name}")
            if name == "href" and not (value or "").startswith("#"):
                self.loads.append(f"{tag} {name} {value}")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.stack[-1:] == ["script"] else self.words).append(data)


def read(report: Report) -> _Reading:
    reading = _Reading()
    reading.feed(report.html)
    reading.close()
    assert reading.stack == []
    return reading


@pytest.fixture(scope="module")
def arch() -> tncompile.Architecture:
    return tncompile.load("std/linear.tn").instantiate(MPO)


@pytest.fixture(scope="module")
def report(arch: tncompile.Architecture) -> Report:
    return arch.report(batch=64, search="fast")


def test_one_file_that_loads_nothing(report: Report) -> None:
    reading = read(report)
    assert reading.loads == []
    assert "link" not in reading.names
    assert "iframe" not in reading.names
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', report.html)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    (script,) = (each for each in reading.scripts if not each.startswith("{"))
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert "url(" not in report.html
    assert "@import" not in report.html
    assert len(report.html) < 500_000
    assert len(set(reading.ids)) == len(reading.ids)


def test_numbers_are_those_of_the_api(arch: tncompile.Architecture, report: Report) -> None:
    cost = arch.cost(batch=64, search="fast")
    words = read(report).words
    for step in cost.steps:
        for text in (step.result, step.contraction, count_text(step.multiply_adds)):
            assert text in words
    for figures in (cost.inference, cost.training, cost.folded):
        for text in (count_text(figures.flops or 0), seconds_text(figures.seconds or 0.0)):
            assert text in words
    assert bytes_text(cost.live_bytes.peak) in "".join(words)
    bonds = arch.bonds(arch.module(seed=0, search="fast"))
    for bond in bonds.values():
        assert f"{bond.entropy:.3f}" in words
    steps = next(json.loads(s) for s in read(report).scripts if s.startswith('{"steps"'))["steps"]
    assert [step["result"] for step in steps] == [step.result for step in cost.steps]


def test_lines_of_each_step(arch: tncompile.Architecture, report: Report) -> None:
    """The lines that light up are those whose comment has the number of the contraction."""
    steps = next(json.loads(s) for s in read(report).scripts if s.startswith('{"steps"'))["steps"]
    code = re.search(
        r'<pre class="code long"[^>]*aria-label="The code of each step">(.*?)</pre>',
        report.html,
        re.S,
    )
    assert code is not None
    lines = re.findall(r'<span class="line">(.*?)</span>(?=<span class="line">|$)', code[1], re.S)
    for number, step in enumerate(steps, 1):
        first, last = step["lines"]
        shown = "\n".join(lines[first : last + 1])
        assert f"[{number}]" in shown
        assert "torch." in shown


def test_the_method_of_a_source() -> None:
    source = (
        "class N(nn.Module):\n"
        "    def fold(self):\n        t = 1  # [1] (b)\n"
        "    def forward(self, x):\n"
        '        """Says."""\n'
        "        if x.dim() < 1:\n            raise ValueError(x)\n"
        "        # [1] (B, b)\n"
        "        t = torch.mm(x,\n            self.A)\n"
        "        t = t.t()\n"
        "        return torch.mm(t, self.B)  # [2] (B, o)\n"
    )
    method = contracting_method(source)
    assert method is not None
    assert method.written.splitlines()[0] == "def forward(self, x):"
    assert method.lines == {1: (4, 6), 2: (7, 8)}
    assert contracting_method("x = 1\n") is None


@pytest.mark.parametrize("theme", ["auto", "dark"])
def test_hostile_texts(theme: str) -> None:
    made = tncompile.loads(HOSTILE).instantiate().report(batch=4, search="fast", theme=theme)  # type: ignore[arg-type]
    reading = read(made)
    assert reading.loads == []
    assert "img" not in reading.names
    assert reading.names.count("script") == report_scripts(reading)
    assert all("alert" not in script or script.startswith(("{", '"')) for script in reading.scripts)
    assert "alert(1)" in "".join(reading.words)
    assert "alert(3)" in "".join(reading.words)


def report_scripts(reading: _Reading) -> int:
    """One script that runs; the others are data."""
    return 1 + sum(script.startswith("{") for script in reading.scripts)


def test_weights_beside_a_fresh_start(arch: tncompile.Architecture) -> None:
    module = arch.module(seed=5, search="fast")
    made = arch.report(batch=64, search="fast", weights=module)
    words = read(made).words
    for seed in (0, 5):
        bonds = arch.bonds(arch.module(seed=seed, search="fast"))
        for bond in bonds.values():
            assert f"{bond.entropy:.3f}" in words
    assert "fresh" in words
    with pytest.raises(ValueError, match=r"G\.0"):
        arch.report(batch=64, search="fast", weights={"A": torch.ones(2)})


def test_networks_with_loops_say_so() -> None:
    ring = tncompile.load("std/linear.tn").instantiate("TensorRing([4, 4, 4], [4, 4, 4])")
    words = "".join(read(ring.report(batch=4, search="fast")).words)
    assert "has loops" in words


def test_models(tmp_path: Path) -> None:
    model = tncompile.load("std/transformer.tn").instantiate(
        "FeedForward(width = 32, dense = false, rank = 4)"
    )
    module = model.module(seed=1, search="fast")
    made = model.report(batch=8, search="fast", weights=module)
    reading = read(made)
    assert reading.loads == []
    assert len(set(reading.ids)) == len(reading.ids)
    cost = model.cost(batch=8, search="fast")
    words = reading.words
    assert seconds_text(cost.seconds) in words
    for name in model.networks:
        assert name in words
    up = {k.removeprefix("up."): v for k, v in module.state_dict().items() if k.startswith("up.")}
    network = model.networks[next(iter(model.networks))]
    for bond in network.bonds(up).values():
        assert f"{bond.entropy:.3f}" in words
    made.save(tmp_path / "model.html")
    assert (tmp_path / "model.html").read_text(encoding="utf-8") == made.html
    with pytest.raises(ValueError, match=r"does not end in \.html"):
        made.save(tmp_path / "model.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.html"]
    with pytest.raises(ValueError, match="not those of"):
        model.report(batch=8, search="fast", weights={"A": torch.ones(2)})


def test_long_chains_stay_small() -> None:
    chain = tncompile.load("std/classifier.tn").instantiate("MPSClassifier(sites = 100)")
    made = chain.report(batch=16, search="fast")
    assert len(made.html) < 1_000_000


def test_equal_reports_are_equal_texts(arch: tncompile.Architecture, report: Report) -> None:
    again = tncompile.load("std/linear.tn").instantiate(MPO).report(batch=64, search="fast")
    assert again.html == report.html
    assert report._repr_html_().startswith("<iframe title=")
