"""How much a trained model loses at equal parameters, by how ranks are chosen and fitted.

python -m benchmarks.allocation: a classifier of the 8 × 8 digits of scikit-learn, one thread.
`fidelity` is the relative error of the logits on digits that neither training nor calibration has
seen, `same` how many of them get the label that the original gives.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from sklearn.datasets import load_digits
from torch import nn

import tncompile
from tncompile import Metric, Moments

PARTS = (0.5, 0.25, 0.15, 0.1)
MULTIPLE = 2
STEPS = 1500


class OneSided:
    """Moments without gradients at outputs: inputs alone, weighted by gradients or not."""

    def __init__(self, moments: Moments) -> None:
        self.moments = moments

    def __contains__(self, name: object) -> bool:
        return name in self.moments

    def metric(self, name: str) -> Metric:
        return Metric(self.moments.metric(name).inputs)


class Whole(OneSided):
    """As `Moments`; what the rows of `METHODS` have in common."""

    def metric(self, name: str) -> Metric:
        return self.moments.metric(name)


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels, in an order that is always the same."""
    given = load_digits()
    order = torch.randperm(len(given.data), generator=torch.Generator().manual_seed(0))
    return torch.tensor(given.data).float()[order] / 16, torch.tensor(given.target)[order]


def trained(x: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    """Four layers of very different needs."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()),
        *(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)),
    )
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.01)
    for _ in range(STEPS):
        some = torch.randint(len(x), (64,))
        loss = nn.functional.cross_entropy(model(x[some]), labels[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def uniform(model: nn.Module, limit: float) -> str:
    """The same part of every layer but the last, the largest that fits."""
    layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    layers.popitem()  # ten rows: with rank 2 nothing is left of ten classes
    whole = sum(p.numel() for p in model.parameters())
    for percent in (each / 10 for each in range(1000, 0, -1)):
        lines, count = [], whole
        for name, layer in layers.items():
            out, into = layer.weight.shape
            rank = max(1, int(percent * out * into / (100 * (out + into))))
            saved = layer.weight.numel() - rank * (out + into)
            count -= saved
            lines.append(f'linear "{name}" -> LowRank(rank = {rank})')
        if count <= limit:
            break
    return 'import "std/linear.tn" { LowRank }\nrewrite Uniform {\n' + "\n".join(lines) + "\n}"


def one_sided(model: nn.Module, moments: Moments, part: float) -> tncompile.Rewrite:
    """One threshold on spectra that see inputs alone."""
    alike = {}
    for name, sums in moments.layers.items():
        identity = torch.eye(sums.layer.outputs, dtype=torch.float64)
        alike[name] = replace(
            sums,
            inputs=sums.inputs / sums.outputs.trace() * sums.layer.outputs,
            outputs=identity,
        )
    alone = replace(moments, layers=alike)
    return tncompile.allocate(model, part, moments=alone, multiple=MULTIPLE).rewrite


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    x, labels = digits()
    model = trained(x[:1000], labels[:1000])
    held = x[1400:]
    moments = tncompile.calibrate(model, x[1000:1400].split(100))
    with torch.no_grad():
        wanted = model(held)
        right = float((wanted.argmax(1) == labels[1400:]).float().mean())
    whole = sum(p.numel() for p in model.parameters())
    print(f"{whole:,} parameters, {right:.1%} of {len(held)} right\n")
    print("| parameters | ranks | fitted | error of logits | same label | predicted |")
    print("|---|---|---|---|---|---|")
    for part in PARTS:
        even = tncompile.Rewrite.loads(uniform(model, part * whole))
        found = tncompile.allocate(model, part, moments=moments, multiple=MULTIPLE)
        plain = tncompile.allocate(model, part, multiple=MULTIPLE)
        alone = one_sided(model, moments, part)
        inputs, both = OneSided(moments), Whole(moments)
        rows = (
            ("uniform", even, "plain", None),
            ("uniform", even, "inputs", inputs),
            ("uniform", even, "both sides", both),
            ("threshold, plain", plain.rewrite, "plain", None),
            ("threshold, inputs", alone, "inputs", inputs),
            ("threshold, inputs", alone, "both sides", both),
            ("threshold, both sides", found.rewrite, "both sides", both),
        )
        for name, rewrite, how, metrics in rows:
            small = tncompile.tensorize(model, rewrite, moments=metrics).model
            count = sum(p.numel() for p in small.parameters()) / whole
            with torch.no_grad():
                given = small(held)
            error = float((given - wanted).norm() / wanted.norm())
            same = float((given.argmax(1) == wanted.argmax(1)).float().mean())
            said = f"{found.error:.3f}" if rewrite is rows[-1][1] else ""
            print(f"| {count:.1%} | {name} | {how} | {error:.3f} | {same:.1%} | {said} |")


if __name__ == "__main__":
    main()
