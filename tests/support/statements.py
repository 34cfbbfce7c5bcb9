"""Statements to put mistakes into."""

from __future__ import annotations

BODY = "network N(d: int = 4) {\n%s\n  output y()\n}\n"


STATEMENTS = [
    ('  tensor A("io")', "write `tensor A(i, o)`"),
    ("  tensor A(i, 3)", "declare `index j = 3`"),
    ("  tensor A(i: 3)", "a size stands where the index is declared"),
    ("  tensor A(i + 1)", "no arithmetic with legs"),
    ("  tensor A[k in 0..2][i, o]", "write `(` and `)` around the legs"),
    ("  tensor A(b[k]??)", "one `?` is enough"),
    ("  tensor A(?b)", "`?` stands after a leg"),
    ("  tensor A(b[0..3])", "a leg takes no slice"),
    ("  let q = a[1:2]", "a list has no slices"),
    ("  bond b[k in 0, 3] = 2", "write `0..n`"),
    ("  bond b[k = 0..3] = 2", "`name[k in 0..n]`"),
    ("  bond b[k in 0..3: 2] = 2", "a range has no step"),
    ("  bond q 3", "write `bond b = 4`"),
    ("  let q = if d == 4 then 3", "`if condition then a else b`"),
    ("  let q = if d == 4 3 else 4", "`if condition then a else b`"),
    ("  let q = d == 4 ? 3 : 4", "`if c then a else b`"),
    ('  require d > 3 "reason"', '`require condition, "reason"`'),
    ("  tensor A() init 3", "the name of a scheme"),
    ("  tensor A() share 3", "`share k`"),
    ("  batch n 3", "the size it usually has, too: `batch n = 128`"),
    ("  window h = 3", "write `window h = conv(size = 3)`"),
    ("  window h = conv(3) if d > 3", "a window takes no condition"),
    ("  window h: conv(3)", "write `=`, as in `h = conv(size = 3)`"),
    ("  batch t: 128", "follows `=`: `t = 128`"),
    ("  window h(3)", "write `window h = conv(size = 3)`"),
    ("  window h[2] = conv(3)", "`[k in 2..3]`"),
    ("  window h = conv(3) w = conv(3)", "put a `,` before it if it is one more window"),
    ("  bond b = 3 complex", "`complex` does not belong here"),
    ("  tensor A(): complex64", "write `complex` after the legs"),
    ("  -- comment", "a comment begins with `#`"),
    ("  bond b = 3 init zeros", "`init` does not belong here"),
]


BLOCKS = [
    ("import std.linear", '`import "std/linear.tn"`'),
    ('import "std/linear.tn" ( MPO )', "stand in braces"),
    ('import "std/linear.tn" { MPO as M }', "no other name"),
    ('import "std/linear.tn" { MPO CP }', "put a `,`"),
    ('import "std/linear.tn" { * }', "delete the braces"),
    ("network N()\n  output y()\n}", "open the block with a `{`"),
    ("network N(int d = 4) {}", "`NAME: TYPE`"),
    ("network M = N(d 3)", "write `d = …`"),
    ("network M = N{d = 3}", "`network NAME = OTHER(d = 4)`"),
    ("network", "`network NAME(parameters) { … }`"),
    ("network N() { output y() }\nlet q = 3", "stands outside of a block"),
    ("rewrite R {\n  linear encoder -> keep\n}", 'write `linear "pattern" -> N(…)`'),
]
