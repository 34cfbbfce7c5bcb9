"""Acceptance programs: `good/` with what each must compute, `bad/` with the place of each mistake.

A case of `good/NAME.json` says what to instantiate of `good/NAME.tn`, with which tensors, and the
sum of products that the module must equal; `reference.py` computes it and has the format. A program
of `bad/` has one mistake, whose code is in the file name. Its leading comments say the rest:

- `# instantiate: N(d = 4)`: the target that shows the mistake; `-` where loading the file shows it
- `# at: LINE:COLUMN`: where the primary label starts, counted from 1; of TN102 the end of the file
- `# also: LINE`: the line of the secondary label
- `# hint: TEXT`: the rendering contains this text

`models/` has whole architectures, with twins in plain torch, and mistakes in them.
"""

from pathlib import Path

ACCEPTANCE = Path(__file__).parent
"""The folder of the acceptance programs."""
