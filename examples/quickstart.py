"""From a .tn file to a trained module in twenty lines."""

from pathlib import Path

import torch

import tncompile

spec = tncompile.load(Path(__file__).with_name("linear.tn"))
print(*spec.blocks)  # what the file offers

arch = spec.instantiate("MPO", ins=[4, 8, 8, 4], outs=[4, 8, 8, 4], ranks=8)
print(arch.source())  # the PyTorch file that `module()` runs
print(arch.cost(batch=64))  # the contraction, step by step

layer = arch.module(seed=0)  # an nn.Module like any other
optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
x, wanted = torch.randn(64, 1024), torch.randn(64, 1024)
for step in range(20):
    loss = (layer(x) - wanted).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 5 == 0:
        print(f"step {step:2}  loss {loss.item():.4f}")
