"""Statements and results that are causal along `t`, and the blocks that they call."""

BLOCKS = """
network Map() {
  index i = 4, o = 3
  input x(..., i)
  tensor A(i, o)
  output y(..., o)
}

network Rows() {
  batch n, r
  index i = 4, o = 3
  input x(r, n, i)
  tensor A(i, o)
  output y(r, o, n)
}

network Window(padding: int = 0, stride: int = 1, causal: bool = true, wrap: bool = false) {
  window h = conv(
    3, stride,
    padding = if causal then "causal" else padding,
    mode = if wrap then "circular" else "zeros"
  )
  index i = 4, o = 3
  input x(..., i, h.in)
  tensor K(i, o, h.kernel)
  output y(..., o, h.out)
}

network Transposed() {
  window h = conv(3)
  index i = 4, o = 3
  input x(..., i, h.out)
  tensor K(i, o, h.kernel)
  output y(..., o, h.in)
}

model Cell() {
  part map = Linear(4, 5)
  input x(..., 4)
  input h(..., 5)
  output tanh(map(x) + h)
}

model Causal() {
  batch n causal
  input x(..., n, 4)
  input w(4)
  output (cumsum(x * w, dim = n), w)
}

model Free() {
  batch n
  input x(..., n, 4)
  output mean(x, -2)
}

model Along() {
  input x(..., 4)
  input w(4)
  output (softmax(x, -1), w)
}

model Last() {
  part gru = GRU(4, 5, batch_first = true)
  batch b, n causal
  input x(b, n, 4)
  let (y, h) = gru(x)
  output (y, h)
}
"""

DECLARED = """
  part map = Map()
  part rows = Rows()
  part win = Window()
  part wide = Window(padding = 1, causal = false)
  part stepping = Window(stride = 2)
  part around = Window(wrap = true)
  part back = Transposed()
  part cell = Cell()
  part causal = Causal()
  part free = Free()
  part along = Along()
  part last = Last()
  part linear = Linear(4, 5)
  part embed = Embedding(9, 4)
  part norm = LayerNorm(4)
  part norms = RMSNorm([4, 2])
  part drop = Dropout(0.1)
  part one = Conv1d(4, 5, 1)
  part two = Conv1d(4, 5, 2)
  part same = Conv1d(4, 5, 3, padding = "same")
  part strided = Conv1d(4, 5, 1, stride = 2)
  part grow = ConvTranspose1d(4, 5, 1)
  part image = Conv2d(4, 5, 3)
  part pool = MaxPool1d(2)
  part batches = BatchNorm1d(4)
  part planes = BatchNorm2d(4)
  part singles = InstanceNorm2d(4)
  part groups = GroupNorm(2, 4)
  part flat = Flatten()
  part all = Flatten(start_dim = 0)
  part like = extern "a.B"() ((..., 4))
  part lstm = LSTM(4, 5, batch_first = true)
  part both = GRU(4, 5, batch_first = true, bidirectional = true)
  part look = MultiheadAttention(4, 2, batch_first = true)
  part bag = EmbeddingBag(9, 4)
  part other = extern "a.B"() ((..., 4)) -> (..., 6)
  part known = extern "a.B"() -> (..., 6)
  part unknown = extern "a.B"()
  part fixed = extern "a.B"() ((t, 4)) -> (t, 4)
  tensor w(4) init zeros
  tensor table(9, 4) init zeros
  tensor place(100, 4) init zeros
  tensor square(4, 4) init zeros
  batch b, s, t causal
  input x(..., t, 4)
  input xt(..., 4, t)
  input ids(..., t) int
  input at(t) int
  input vec(..., 4)
  input memory(..., s, 4)
  input y(b, t, 4)
  input yt(b, 4, t)
  input m(t, b, 4)
  input mt(t, 4, b)
  input words(b, t) int
  input few(b, 3) int
  input queries(..., 2, t, 4)
  input pictures(t, 4, 8, 8)
  input pair(..., t, 4, 2)
  input h(..., 5)
"""
# Of `x` and the others, `t` is -2; of `xt`, `yt` it is -1; of `m`, `mt` it is the first of three.

CAUSAL = [
    # entry by entry
    "-gelu(x) * w + x / 2",
    "where(x > 0, maximum(x, w), cumsum(x, dim = t))",
    "x * reshape(arange(t), (t, 1)) + place[0..t, *]",
    "zeros((..., 4, t)) + xt + ones((t)) + full((4, t), 2)",
    "expand(w, (..., t, 4)) + expand(x, (..., t, 4))",
    # along other axes
    "(softmax(x, -1), normalize(x, dim = -1), cumsum(x, -1))",
    "(mean(x, -1), mean(x, -1, keepdim = true), sum(pair, [-2, -1]), argmax(xt, -2))",
    "topk(x, 2)",
    "(flip(x, -1), roll(x, 1, -1), pad(x, 1, 1, -1), fft(x))",
    "(x @ square, square @ xt, m @ square)",
    "(concat(x, x, dim = -1), concat(xt, xt, dim = -2))",
    "(stack(x, x, dim = -1), stack(x, x, dim = -2), stack(x, x, dim = -3))",
    "split(x, [1, 3], dim = -1)",
    "chunk(xt, 2, dim = -2)",
    "interpolate(mt, scale = [2])",
    # the axis elsewhere
    "(transpose(x, -2, -1), permute(pair, [-1, -3, -2]), reshape(x, (..., t, 2, 2)))",
    "(reshape(xt, (..., 2, 2, t)), flatten(pair, -2))",
    "flatten(reshape(xt, (..., 4, 1, t)), -2)",
    "(x[..., *, 0], x[..., *, 1..3], xt[..., 2, *], pair[..., 0..t, *, 0])",
    # lookups
    "(take(table, ids), take(table, at), onehot(ids, 9))",
    "gather(place, expand(reshape(at, (t, 1)), (t, 4)), dim = -2)",
    # attention
    "attention(x, x, x, causal = true)",
    "attention(queries, queries, queries, causal = true, reach = 3)",
    "attention(queries, queries, queries, causal = true, relative = ones((2, 9)))",
    "attention(x, x, x, reshape(ids > 0, (..., 1, t)), causal = true)",
    "(attention(x, memory, memory), attention(m, m, m))",
    # networks
    "network { x(..., t, i), square(i, j) -> (..., j, t) }",
    "network { pair(..., t, a, c), x(..., t, (a d)) -> (..., d, t, c) }",
    "(map(x), map(y), rows(y), win(xt))",
    # layers
    "(linear(x), norm(x), drop(x), embed(ids), one(xt), norms(pair))",
    "(groups(mt), two(mt), pool(mt), singles(pictures), flat(m), look(m, m, m))",
    "(image(pictures), bag(transpose(words, 0, 1)))",
    "both(m)",
    "lstm(y)",
    # models, externs, scans
    "causal(x, w)",
    "along(x, w)",
    "(other(x), known(x), like(x))",
    "scan(cell, x, zeros((..., 5)), dim = t)",
    "scan(cell, m, zeros((t, 5)), dim = b)",
    "scan(cell, m, zeros((t, 5)), dim = b, reverse = true)",
    # the last state is one of everything so far
    "last(y)",
    "relu(scan(cell, x, h, dim = t)[1]) * h",
    "(vec, mean(memory, -2))",
]
