"""Small causal models, each for one rule of what a step keeps."""

from __future__ import annotations

from tests.support.stepping_blocks import ATTENTION, CELL, SIGNED, WINDOW, X, model
from tests.support.stepping_programs_more import MORE_PROGRAMS

PROGRAMS = {
    # sums and counts
    "running sums": model("input x(..., t, 3)", "output cumsum(x, dim = t) * 2"),
    "running sums of booleans": model("input x(..., t) bool", "output cumsum(x, dim = -1)"),
    "running sums of complex numbers": model(
        "input x(..., t, 2) complex", "output cumsum(x, dim = t)"
    ),
    "positions": model("input x(..., t)", "output x * arange(t) + expand(2.0, (t)) + zeros((t))"),
    "places": model(
        "tensor w(9, 3) init normal(1.0)",
        'require t <= 9, "long"',
        "input x(..., t, 3)",
        "output x + w[0..t, *] * w[0..t, 1..2]",
    ),
    "places without a bound": model(
        "tensor w(9, 3) init normal(1.0)", "input x(..., t, 3)", "output x + w[0..t, *]"
    ),
    "rows that ids are aligned with": model(
        "tensor w(9, 5) init normal(1.0)",
        "require t <= 9",
        "input ids(t, 3) int",
        "output gather(w, ids, dim = -1)",
    ),
    "rows that ids point at": model(
        "tensor w(9, 5) init normal(1.0)",
        "input ids(t, 5) int",
        "output gather(w, ids, dim = 0)",
    ),
    "equal sizes": model(
        "require s == t",
        "require t <= 20",
        X,
        "input z(..., s, 4)",
        "let sums = cumsum(z, dim = s) + reshape(arange(s), (s, 1))",
        "output attention(x, z, z, causal = true) + sums",
        batch="t causal, s",
    ),
    # attention
    "attention": model(X, "output attention(x, 2.0 * x, sin(x), causal = true)"),
    "reach": model(X, "output attention(x, 2.0 * x, sin(x), causal = true, reach = 3)"),
    "reach of one": model(X, "output attention(x, x, sin(x), causal = true, reach = 1)"),
    "reach of more": model(X, "output attention(x, x, sin(x), causal = true, reach = 99)"),
    "grouped queries": model(
        "input q(..., 4, t, 3)",
        "input k(..., 2, t, 3)",
        "output attention(q, k, k, causal = true, scale = 0.3)",
    ),
    "a mask of keys": model(
        X,
        "input seen(..., t) bool",
        "output attention(x, x, x, reshape(seen, (..., 1, t)), causal = true)",
    ),
    "a mask of keys and a reach": model(
        X,
        "input seen(..., t) bool",
        "output attention(x, x, x, reshape(seen, (..., 1, t)), causal = true, reach = 3)",
    ),
    "a mask of queries": model(
        X,
        "input added(..., t)",
        "output attention(x, x, x, reshape(added, (..., t, 1)), causal = true)",
    ),
    "slopes": model(
        "input x(..., 3, t, 4)",
        "let slopes = reshape([0.5, 0.25, 0.125], (3, 1, 1))",
        "output attention(x, x, x, slopes * arange(t), causal = true)",
    ),
    "attention to what is held": model(
        X, "input m(..., s, 4)", "output attention(x, m, m)", batch="t causal, s"
    ),
    "attention along another axis": model(
        "input x(..., t, 5, 4)", "output attention(x, x, x, causal = true)"
    ),
    # layers and networks
    "recurrent": model(
        "part gru = GRU(3, 4, num_layers = 2, batch_first = true)",
        "input x(b, t, 3)",
        "output gru(x)",
        batch="b, t causal",
    ),
    "recurrent outputs": model(
        "part rnn = RNN(3, 4, batch_first = true)",
        "input x(b, t, 3)",
        "let (y, h) = rnn(x)",
        "output y",
        batch="b, t causal",
    ),
    "recurrent from a given state": model(
        "part lstm = LSTM(3, 4, batch_first = true)",
        "input x(b, t, 3)",
        "input h(1, b, 4)",
        "input c(1, b, 4)",
        "let (y, h2, c2) = lstm(x, h, c)",
        "output (y, c2)",
        batch="b, t causal",
    ),
    "recurrent beside the axis": model(
        "part gru = GRU(3, 4, batch_first = true)",
        "input x(t, 5, 3)",
        "let (y, h) = gru(x)",
        "output y",
    ),
    "windows": model(
        "part wide = Window(3, 2)",
        "part narrow = Window(2)",
        "input x(..., 3, t)",
        "output tanh(wide(x)) * wide(x) + narrow(x)",
        before=WINDOW,
    ),
    "windows without `...`": model(
        "part wide = Window(3, 2)", "input x(2, 3, t)", "output wide(x)", before=WINDOW
    ),
    "windows in logarithms": model(
        "part signed = Signed()", "input x(..., 3, t)", "output signed(x)", before=SIGNED
    ),
    "extern": model(
        'part f = extern "torch.nn.Linear"(4, 5) ((..., 4)) -> (..., 5)',
        X,
        "output cumsum(f(x), dim = t)",
    ),
    "dropout": model(
        "part drop = Dropout(0.5)",
        X,
        "output attention(drop(x), x, x, causal = true, dropout = 0.5)",
    ),
    "dropout at the end of turns": model(
        "part drop[l in 0..3] = Dropout(0.5)",
        "part f = Linear(4, 4)",
        X,
        "let sums = cumsum(x, dim = t) |> repeat l in 0..3 { drop[l] |> f |> drop[l] }",
        "output sums |> repeat l in 0..3 { drop[l] }",
    ),
    "one axis": model("input x(t)", "output cumsum(x, dim = -1) + arange(t)"),
    "results with the axis and without": model(
        X,
        "input n(..., 4)",
        "let a = attention(x, x, x, causal = true)",
        "output (a, n, cumsum(a, dim = t), x)",
    ),
    "entry by entry": model("part f = Linear(4, 4)", X, "output f(x)"),
    # scans
    "scan": model(
        "part cell = Cell()",
        "input x(..., t, 3)",
        "output scan(cell, x, zeros((..., 3)), dim = t)",
        before=CELL,
    ),
    "scan from a given state": model(
        "part cell = Cell()",
        "input x(..., t, 3)",
        "input h(..., 3)",
        "let (y, last) = scan(cell, x, h, dim = t)",
        "output y",
        before=CELL,
    ),
    "scan over models with steps": model(
        "part cell = Turn()",
        "tensor z(3, 4) init normal(1.0)",
        X,
        "let (y, h) = scan(cell, expand(z, (..., 3, 4)), x, dim = -2)",
        "output h",
        before=f"""{ATTENTION}
model Turn() {{ part looks = Looks()
  batch t causal
  input z(..., 4)
  input x(..., t, 4)
  output looks(x) + reshape(z, (..., 1, 4)) }}
""",
    ),
    "scan over windows": model(
        "part cell = Turn()",
        "input z(..., 2, 3)",
        "input x(..., 3, t)",
        "output scan(cell, z, x, dim = -2)[1]",
        before="""
network Turn() {
  window s = conv(size = 2, padding = "causal")
  index i = 3, o = 3, j = 3
  input z(..., j)
  input x(..., i, s.in)
  tensor K(i, j, o, s.kernel)
  output y(..., o, s.out) }
""",
    ),
    # values that lack `...`
    "windows of values without `...`": model(
        "part wide = Window(3, 2)",
        "part narrow = Window(2)",
        "input x(..., 3, t)",
        "input z(3, t)",
        "output wide(x) + narrow(z)",
        before=WINDOW,
    ),
    "scan of values without `...`": model(
        "part cell = Cell()",
        "input x(t, 3)",
        "input z(..., t, 3)",
        "let (y, h) = scan(cell, x, zeros((3)), dim = t)",
        "output y + z",
        before=CELL,
    ),
    "nested models of values without `...`": model(
        "part both = Both()",
        "input x(t, 4)",
        "input z(..., t, 4)",
        "output both(z, x) + both(x, x)",
        before="""
model Both() { batch t causal
  input x(..., t, 4)
  input z(t, 4)
  output attention(x, x, x, causal = true) + attention(z, z, z, causal = true) }
""",
    ),
    **MORE_PROGRAMS,
}
"""By what they are for; the size is `t`."""
