"""More small causal models, each for one rule of what a step keeps."""

from __future__ import annotations

from tests.support.stepping_blocks import ATTENTION, CELL, DECODER, SIGNED, X, model

MORE_PROGRAMS = {
    "recurrent values without `...`": model(
        "part gru = GRU(4, 4, batch_first = true)",
        X,
        "input z(1, t, 4)",
        "let (y, h) = gru(z)",
        "output x + reshape(y, (t, 4))",
    ),
    "running sums beside rows that are held": model(
        "input x(..., 3)",
        "input z(t, 3)",
        "output reshape(x, (..., 1, 3)) * cumsum(z, dim = t)",
    ),
    # what comes of held inputs alone
    "an encoder and decoders": model(
        "part enc = Linear(4, 4)",
        "part dec[l in 0..2] = Decoder()",
        "input m(..., s, 4)",
        X,
        "let memory = tanh(enc(m)) + reshape(arange(s), (s, 1))",
        "output x |> repeat l in 0..2 { dec[l](memory) }",
        before=DECODER,
        batch="t causal, s",
    ),
    "decoders that a model hands on": model(
        "part dec = Decoder()",
        "part uses = Uses(dec)",
        X,
        "input m(..., s, 4)",
        "output uses(x, sin(m)) + uses(x, m)",
        before=f"""{DECODER}
model Uses(a: part) {{ batch t causal, s
  input x(..., t, 4)
  input m(..., s, 4)
  output a(x, m) + a(x, cos(m)) }}
""",
        batch="t causal, s",
    ),
    "turns that differ in what they keep": model(
        "part k[l in 0..3] = Linear(4, 4)",
        "part cross = Cross()",
        X,
        "input m(..., s, 4)",
        "output x |> repeat l in 0..3 { cross(k[l](m)) }",
        before=DECODER,
        batch="t causal, s",
    ),
    "a scan over what is held": model(
        "part enc = Cell()",
        "part dec = Cell()",
        "input m(..., s, 3)",
        "input x(..., t, 3)",
        "let (ys, last) = scan(enc, m, zeros((..., 3)), dim = s)",
        "output scan(dec, x, last, dim = t)",
        before=CELL,
        batch="t causal, s",
    ),
    "a recurrent encoder": model(
        "part enc = GRU(3, 4, batch_first = true)",
        "part dec = GRU(3, 4, batch_first = true)",
        "input m(b, s, 3)",
        "input x(b, t, 3)",
        "let (ys, h) = enc(m)",
        "let (y, last) = dec(x, h)",
        "output (y * mean(ys, dim = -2, keepdim = true), ys)",
        batch="b, t causal, s",
    ),
    "held results": model(
        "input m(..., s, 4)",
        X,
        "let k = sin(m)",
        "output (cumsum(x, dim = t), k, transpose(k, -1, -2), m[..., 0, *], m)",
        batch="t causal, s",
    ),
    "pieces of what is held": model(
        X,
        "input m(..., s, 8)",
        "let (k, v) = chunk(sin(m), 2, dim = -1)",
        "let (best, places) = topk(v, 2, dim = -1)",
        "output attention(x, k, v) * sum(best, dim = [-2, -1], keepdim = true)",
        batch="t causal, s",
    ),
    "slices of what is held": model(
        "require t <= 9",
        X,
        "input m(..., 9, 4)",
        "input n(9, 4)",
        "output (x + sin(m)[..., 0..t, *] * cos(n)[0..t, *], m[..., 0..t, *])",
    ),
    "values without `...` that are held": model(
        X, "input m(s, 4)", "output x * sum(sin(m), dim = -2) + m[0, *]", batch="t causal, s"
    ),
    "several results of one operation that are held": model(
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
        before=SIGNED,
        batch="b, t causal",
    ),
    "extern of what is held": model(
        'part f = extern "torch.nn.Linear"(4, 4) ((..., 4)) -> (..., 4)',
        X,
        "input m(..., s, 4)",
        "let k = f(m) * cos(reshape(arange(s), (s, 1)) * [0.1, 0.2, 0.3, 0.4])",
        "output attention(x, k, f(k), reshape(amax(m, dim = -1) > 0, (..., 1, s)))",
        batch="t causal, s",
    ),
    "turns of a scan with values of their own": model(
        "part cell = Turn()",
        "input z(..., 3, 4)",
        X,
        "let (y, h) = scan(cell, z, x, dim = -2)",
        "output h",
        before=f"""{ATTENTION}
model Turn() {{ part looks = Looks()
  batch t causal
  input z(..., 4)
  input x(..., t, 4)
  output looks(x) + reshape(tanh(z), (..., 1, 4)) }}
""",
    ),
    # nested models
    "nested": model(
        "part a[l in 0..3] = Looks()",
        X,
        "output x |> repeat l in 0..3 { a[l] }",
        before=ATTENTION,
    ),
    "one part called again and again": model(
        "part a = Looks()", X, "output x |> repeat l in 0..3 { a } |> a", before=ATTENTION
    ),
    "nested in leading axes": model(
        "part looks = Elsewhere()",
        "input x(..., t, 5, 4)",
        "output looks(x)",
        before="""
model Elsewhere() { batch s causal
  input x(..., s, 4)
  output attention(x, x, x, causal = true) }
""",
    ),
    "nested with other batch names": model(
        "part looks = Looks()",
        "input x(..., 5, t, 4)",
        "output looks(x)",
        before="""
model Looks() { batch s, u causal
  input x(..., s, u, 4)
  output attention(x, x, x, causal = true) }
""",
    ),
    "handed on": model(
        "part a = Looks()",
        "part b = Uses(a)",
        "part d = Hands(b)",
        X,
        "output d(x)",
        before=f"""{ATTENTION}
model Uses(a: part) {{ batch t causal
  input x(..., t, 4)
  output a(x) + x }}
model Hands(b: part) {{ batch t causal
  input x(..., t, 4)
  output b(x) * 0.5 }}
""",
    ),
    # names
    "families of values and inputs": model(
        "input x[k in 0..2](..., t, 4)",
        "let h[l in 0..3] = if l == 0 then x[0] + x[1] else cumsum(h[l - 1], dim = t) * 0.5",
        "output (h[2], h[0])",
    ),
    "names of our own": model(
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
