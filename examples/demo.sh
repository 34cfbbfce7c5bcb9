#!/bin/sh
# What `make demo` runs: a network is compiled, its source and its cost are shown, and networks like it are trained on real digits.
set -eu
cd "$(dirname "$0")"

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || say() { printf '\n%s\n' "$1"; }

say "1. A network: a tensor train of four cores in place of a 1024 x 1024 matrix (examples/linear.tn)"
cat linear.tn

say "2. The PyTorch that it becomes: tncompile compile linear.tn TT1024"
tncompile compile linear.tn TT1024 --batch 64

say "3. What it costs: tncompile cost linear.tn TT1024 --batch 64"
tncompile cost linear.tn TT1024 --batch 64

say "4. All of it on a page, its contraction step by step: tncompile report linear.tn TT1024"
mkdir -p ../build
tncompile report linear.tn TT1024 --batch 64 -o ../build/tt1024.html
echo "open build/tt1024.html"

say "5. Real data: handwritten digits, trained the same way (examples/digits)"
python digits/train.py
