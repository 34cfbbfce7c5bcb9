"""Small causal models, each for one rule of what a step keeps."""

from __future__ import annotations

_ATTENTION = """
model Looks() { part q = Linear(4, 4)
  batch t causal
  input x(..., t, 4)
  output attention(q(x), x, 2.0 * x, causal = true) + reshape(arange(t), (t, 1)) }
"""
_DECODER = f"""{_ATTENTION}
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
_CELL = """
model Cell() { input x(..., 3)
  input h(..., 3)
  output tanh(x + h) }
"""
_WINDOW = """
network Window(size: int = 3, dilation: int = 1) {
  window s = conv(size = size, dilation = dilation, padding = "causal")
  index i = 3, o = 4
  input x(..., i, s.in)
  tensor K(i, o, s.kernel)
  bias c(o)
  output y(..., o, s.out) }
"""
_SIGNED = """
network Signed() {
  window s = conv(size = 2, padding = "causal")
  index i = 3
  input x(..., i, s.in)
  tensor K(i, s.kernel)
  output y(..., s.out) log }
"""


def _model(*lines: str, before: str = "", batch: str = "t causal") -> str:
    parts = [line for line in lines if line.startswith(("part", "tensor"))]
    others = [line for line in lines if line not in parts]
    return "\n  ".join([f"{before}model M() {{", *parts, f"batch {batch}", *others]) + "\n}\n"


X = "input x(..., t, 4)"

PROGRAMS = {
    # sums and counts
    "running sums": _model("input x(..., t, 3)", "output cumsum(x, dim = t) * 2"),
    "running sums of booleans": _model("input x(..., t) bool", "output cumsum(x, dim = -1)"),
    "running sums of complex numbers": _model(
        "input x(..., t, 2) complex", "output cumsum(x, dim = t)"
    ),
    "positions": _model("input x(..., t)", "output x * arange(t) + expand(2.0, (t)) + zeros((t))"),
    "places": _model(
        "tensor w(9, 3) init normal(1.0)",
        'require t <= 9, "long"',
        "input x(..., t, 3)",
        "output x + w[0..t, *] * w[0..t, 1..2]",
    ),
    "places without a bound": _model(
        "tensor w(9, 3) init normal(1.0)", "input x(..., t, 3)", "output x + w[0..t, *]"
    ),
    "rows that ids are aligned with": _model(
        "tensor w(9, 5) init normal(1.0)",
        "require t <= 9",
        "input ids(t, 3) int",
        "output gather(w, ids, dim = -1)",
    ),
    "rows that ids point at": _model(
        "tensor w(9, 5) init normal(1.0)",
        "input ids(t, 5) int",
        "output gather(w, ids, dim = 0)",
    ),
    "equal sizes": _model(
        "require s == t",
        "require t <= 20",
        X,
        "input z(..., s, 4)",
        "let sums = cumsum(z, dim = s) + reshape(arange(s), (s, 1))",
        "output attention(x, z, z, causal = true) + sums",
        batch="t causal, s",
    ),
    # attention
    "attention": _model(X, "output attention(x, 2.0 * x, sin(x), causal = true)"),
    "reach": _model(X, "output attention(x, 2.0 * x, sin(x), causal = true, reach = 3)"),
    "reach of one": _model(X, "output attention(x, x, sin(x), causal = true, reach = 1)"),
    "reach of more": _model(X, "output attention(x, x, sin(x), causal = true, reach = 99)"),
    "grouped queries": _model(
        "input q(..., 4, t, 3)",
        "input k(..., 2, t, 3)",
        "output attention(q, k, k, causal = true, scale = 0.3)",
    ),
    "a mask of keys": _model(
        X,
        "input seen(..., t) bool",
        "output attention(x, x, x, reshape(seen, (..., 1, t)), causal = true)",
    ),
    "a mask of keys and a reach": _model(
        X,
        "input seen(..., t) bool",
        "output attention(x, x, x, reshape(seen, (..., 1, t)), causal = true, reach = 3)",
    ),
    "a mask of queries": _model(
        X,
        "input added(..., t)",
        "output attention(x, x, x, reshape(added, (..., t, 1)), causal = true)",
    ),
    "slopes": _model(
        "input x(..., 3, t, 4)",
        "let slopes = reshape([0.5, 0.25, 0.125], (3, 1, 1))",
        "output attention(x, x, x, slopes * arange(t), causal = true)",
    ),
    "attention to what is held": _model(
        X, "input m(..., s, 4)", "output attention(x, m, m)", batch="t causal, s"
    ),
    "attention along another axis": _model(
        "input x(..., t, 5, 4)", "output attention(x, x, x, causal = true)"
    ),
    # layers and networks
    "recurrent": _model(
        "part gru = GRU(3, 4, num_layers = 2, batch_first = true)",
        "input x(b, t, 3)",
        "output gru(x)",
        batch="b, t causal",
    ),
    "recurrent outputs": _model(
        "part rnn = RNN(3, 4, batch_first = true)",
        "input x(b, t, 3)",
        "let (y, h) = rnn(x)",
        "output y",
        batch="b, t causal",
    ),
    "recurrent from a given state": _model(
        "part lstm = LSTM(3, 4, batch_first = true)",
        "input x(b, t, 3)",
        "input h(1, b, 4)",
        "input c(1, b, 4)",
        "let (y, h2, c2) = lstm(x, h, c)",
        "output (y, c2)",
        batch="b, t causal",
    ),
    "recurrent beside the axis": _model(
        "part gru = GRU(3, 4, batch_first = true)",
        "input x(t, 5, 3)",
        "let (y, h) = gru(x)",
        "output y",
    ),
    "windows": _model(
        "part wide = Window(3, 2)",
        "part narrow = Window(2)",
        "input x(..., 3, t)",
        "output tanh(wide(x)) * wide(x) + narrow(x)",
        before=_WINDOW,
    ),
    "windows without `...`": _model(
        "part wide = Window(3, 2)", "input x(2, 3, t)", "output wide(x)", before=_WINDOW
    ),
    "windows in logarithms": _model(
        "part signed = Signed()", "input x(..., 3, t)", "output signed(x)", before=_SIGNED
    ),
    "extern": _model(
        'part f = extern "torch.nn.Linear"(4, 5) ((..., 4)) -> (..., 5)',
        X,
        "output cumsum(f(x), dim = t)",
    ),
    "dropout": _model(
        "part drop = Dropout(0.5)",
        X,
        "output attention(drop(x), x, x, causal = true, dropout = 0.5)",
    ),
    "dropout at the end of turns": _model(
        "part drop[l in 0..3] = Dropout(0.5)",
        "part f = Linear(4, 4)",
        X,
        "let sums = cumsum(x, dim = t) |> repeat l in 0..3 { drop[l] |> f |> drop[l] }",
        "output sums |> repeat l in 0..3 { drop[l] }",
    ),
    "one axis": _model("input x(t)", "output cumsum(x, dim = -1) + arange(t)"),
    "results with the axis and without": _model(
        X,
        "input n(..., 4)",
        "let a = attention(x, x, x, causal = true)",
        "output (a, n, cumsum(a, dim = t), x)",
    ),
    "entry by entry": _model("part f = Linear(4, 4)", X, "output f(x)"),
    # scans
    "scan": _model(
        "part cell = Cell()",
        "input x(..., t, 3)",
        "output scan(cell, x, zeros((..., 3)), dim = t)",
        before=_CELL,
    ),
    "scan from a given state": _model(
        "part cell = Cell()",
        "input x(..., t, 3)",
        "input h(..., 3)",
        "let (y, last) = scan(cell, x, h, dim = t)",
        "output y",
        before=_CELL,
    ),
    "scan over models with steps": _model(
        "part cell = Turn()",
        "tensor z(3, 4) init normal(1.0)",
        X,
        "let (y, h) = scan(cell, expand(z, (..., 3, 4)), x, dim = -2)",
        "output h",
        before=f"""{_ATTENTION}
model Turn() {{ part looks = Looks()
  batch t causal
  input z(..., 4)
  input x(..., t, 4)
  output looks(x) + reshape(z, (..., 1, 4)) }}
""",
    ),
    "scan over windows": _model(
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
    "windows of values without `...`": _model(
        "part wide = Window(3, 2)",
        "part narrow = Window(2)",
        "input x(..., 3, t)",
        "input z(3, t)",
        "output wide(x) + narrow(z)",
        before=_WINDOW,
    ),
    "scan of values without `...`": _model(
        "part cell = Cell()",
        "input x(t, 3)",
        "input z(..., t, 3)",
        "let (y, h) = scan(cell, x, zeros((3)), dim = t)",
        "output y + z",
        before=_CELL,
    ),
    "nested models of values without `...`": _model(
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
    "recurrent values without `...`": _model(
        "part gru = GRU(4, 4, batch_first = true)",
        X,
        "input z(1, t, 4)",
        "let (y, h) = gru(z)",
        "output x + reshape(y, (t, 4))",
    ),
    "running sums beside rows that are held": _model(
        "input x(..., 3)",
        "input z(t, 3)",
        "output reshape(x, (..., 1, 3)) * cumsum(z, dim = t)",
    ),
    # what comes of held inputs alone
    "an encoder and decoders": _model(
        "part enc = Linear(4, 4)",
        "part dec[l in 0..2] = Decoder()",
        "input m(..., s, 4)",
        X,
        "let memory = tanh(enc(m)) + reshape(arange(s), (s, 1))",
        "output x |> repeat l in 0..2 { dec[l](memory) }",
        before=_DECODER,
        batch="t causal, s",
    ),
    "decoders that a model hands on": _model(
        "part dec = Decoder()",
        "part uses = Uses(dec)",
        X,
        "input m(..., s, 4)",
        "output uses(x, sin(m)) + uses(x, m)",
        before=f"""{_DECODER}
model Uses(a: part) {{ batch t causal, s
  input x(..., t, 4)
  input m(..., s, 4)
  output a(x, m) + a(x, cos(m)) }}
""",
        batch="t causal, s",
    ),
    "turns that differ in what they keep": _model(
        "part k[l in 0..3] = Linear(4, 4)",
        "part cross = Cross()",
        X,
        "input m(..., s, 4)",
        "output x |> repeat l in 0..3 { cross(k[l](m)) }",
        before=_DECODER,
        batch="t causal, s",
    ),
    "a scan over what is held": _model(
        "part enc = Cell()",
        "part dec = Cell()",
        "input m(..., s, 3)",
        "input x(..., t, 3)",
        "let (ys, last) = scan(enc, m, zeros((..., 3)), dim = s)",
        "output scan(dec, x, last, dim = t)",
        before=_CELL,
        batch="t causal, s",
    ),
    "a recurrent encoder": _model(
        "part enc = GRU(3, 4, batch_first = true)",
        "part dec = GRU(3, 4, batch_first = true)",
        "input m(b, s, 3)",
        "input x(b, t, 3)",
        "let (ys, h) = enc(m)",
        "let (y, last) = dec(x, h)",
        "output (y * mean(ys, dim = -2, keepdim = true), ys)",
        batch="b, t causal, s",
    ),
    "held results": _model(
        "input m(..., s, 4)",
        X,
        "let k = sin(m)",
        "output (cumsum(x, dim = t), k, transpose(k, -1, -2), m[..., 0, *], m)",
        batch="t causal, s",
    ),
    "pieces of what is held": _model(
        X,
        "input m(..., s, 8)",
        "let (k, v) = chunk(sin(m), 2, dim = -1)",
        "let (best, places) = topk(v, 2, dim = -1)",
        "output attention(x, k, v) * sum(best, dim = [-2, -1], keepdim = true)",
        batch="t causal, s",
    ),
    "slices of what is held": _model(
        "require t <= 9",
        X,
        "input m(..., 9, 4)",
        "input n(9, 4)",
        "output (x + sin(m)[..., 0..t, *] * cos(n)[0..t, *], m[..., 0..t, *])",
    ),
    "values without `...` that are held": _model(
        X, "input m(s, 4)", "output x * sum(sin(m), dim = -2) + m[0, *]", batch="t causal, s"
    ),
    "several results of one operation that are held": _model(
        "part enc = LSTM(3, 4, batch_first = true)",
        "part dec = LSTM(3, 4, batch_first = true)",
        "part signed = Signed()",
        "input m(b, 3, 5)",
        "input x(b, t, 3)",
        "let (ys, h, c) = enc(transpose(m, -1, -2))",
        "let (y, h2, c2) = dec(x, h, c)",
        "let (best, places) = topk(ys, 3, dim = -1)",
        "let (sign, size) = signed(m)",
        "let sizes = reshape(sign * size, (b, 5, 1))",
        "output (y * ys[*, 0..1, *], y[*, *, 0..3] @ transpose(best * places, -1, -2) @ sizes)",
        before=_SIGNED,
        batch="b, t causal",
    ),
    "extern of what is held": _model(
        'part f = extern "torch.nn.Linear"(4, 4) ((..., 4)) -> (..., 4)',
        X,
        "input m(..., s, 4)",
        "let k = f(m) * cos(reshape(arange(s), (s, 1)) * [0.1, 0.2, 0.3, 0.4])",
        "output attention(x, k, f(k), reshape(amax(m, dim = -1) > 0, (..., 1, s)))",
        batch="t causal, s",
    ),
    "turns of a scan with values of their own": _model(
        "part cell = Turn()",
        "input z(..., 3, 4)",
        X,
        "let (y, h) = scan(cell, z, x, dim = -2)",
        "output h",
        before=f"""{_ATTENTION}
model Turn() {{ part looks = Looks()
  batch t causal
  input z(..., 4)
  input x(..., t, 4)
  output looks(x) + reshape(tanh(z), (..., 1, 4)) }}
""",
    ),
    # nested models
    "nested": _model(
        "part a[l in 0..3] = Looks()",
        X,
        "output x |> repeat l in 0..3 { a[l] }",
        before=_ATTENTION,
    ),
    "one part called again and again": _model(
        "part a = Looks()", X, "output x |> repeat l in 0..3 { a } |> a", before=_ATTENTION
    ),
    "nested in leading axes": _model(
        "part looks = Elsewhere()",
        "input x(..., t, 5, 4)",
        "output looks(x)",
        before="""
model Elsewhere() { batch s causal
  input x(..., s, 4)
  output attention(x, x, x, causal = true) }
""",
    ),
    "nested with other batch names": _model(
        "part looks = Looks()",
        "input x(..., 5, t, 4)",
        "output looks(x)",
        before="""
model Looks() { batch s, u causal
  input x(..., s, u, 4)
  output attention(x, x, x, causal = true) }
""",
    ),
    "handed on": _model(
        "part a = Looks()",
        "part b = Uses(a)",
        "part d = Hands(b)",
        X,
        "output d(x)",
        before=f"""{_ATTENTION}
model Uses(a: part) {{ batch t causal
  input x(..., t, 4)
  output a(x) + x }}
model Hands(b: part) {{ batch t causal
  input x(..., t, 4)
  output b(x) * 0.5 }}
""",
    ),
    # names
    "families of values and inputs": _model(
        "input x[k in 0..2](..., t, 4)",
        "let h[l in 0..3] = if l == 0 then x[0] + x[1] else cumsum(h[l - 1], dim = t) * 0.5",
        "output (h[2], h[0])",
    ),
    "names of our own": _model(
        "part step = Linear(4, 4)",
        "require start <= 20",
        "input past(..., start, 4)",
        "input state(..., start, 4)",
        "let seen = attention(step(past), state, state, causal = true)",
        "let keys = cumsum(seen, dim = start)",
        "output keys + reshape(arange(start), (start, 1))",
        batch="start causal",
    ),
}
"""By what they are for; the size is `t`."""
