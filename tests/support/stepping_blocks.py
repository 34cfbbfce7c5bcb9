"""Blocks that small causal models call, and models around their lines."""

from __future__ import annotations

ATTENTION = """
model Looks() { part q = Linear(4, 4)
  batch t causal
  input x(..., t, 4)
  output attention(q(x), x, 2.0 * x, causal = true) + reshape(arange(t), (t, 1)) }
"""
DECODER = f"""{ATTENTION}
model Cross() {{ part k = Linear(4, 4)
  part v = Linear(4, 4)
  batch t causal, s
  input x(..., t, 4)
  input m(..., s, 4)
  output x + attention(x, k(m) + reshape(arange(s), (s, 1)), v(m)) }}
model Decoder() {{ part looks = Looks()
  part cross = Cross()
  batch t causal, s
  input x(..., t, 4)
  input m(..., s, 4)
  output looks(x) |> cross(m) }}
"""
CELL = """
model Cell() { input x(..., 3)
  input h(..., 3)
  output tanh(x + h) }
"""
WINDOW = """
network Window(size: int = 3, dilation: int = 1) {
  window s = conv(size = size, dilation = dilation, padding = "causal")
  index i = 3, o = 4
  input x(..., i, s.in)
  tensor K(i, o, s.kernel)
  bias c(o)
  output y(..., o, s.out) }
"""
SIGNED = """
network Signed() {
  window s = conv(size = 2, padding = "causal")
  index i = 3
  input x(..., i, s.in)
  tensor K(i, s.kernel)
  output y(..., s.out) log }
"""


def model(*lines: str, before: str = "", batch: str = "t causal") -> str:
    parts = [line for line in lines if line.startswith(("part", "tensor"))]
    others = [line for line in lines if line not in parts]
    return "\n  ".join([f"{before}model M() {{", *parts, f"batch {batch}", *others]) + "\n}\n"


X = "input x(..., t, 4)"
