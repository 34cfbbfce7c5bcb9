"""Acceptance models: whole architectures in the language, with twins in plain torch.

`cases.CASES` lists them; a case names a file, a block and its arguments, and draws inputs from a
generator. How it is tried, in float64 and in evaluation:

- the module: `tncompile.load(file).instantiate(block, **arguments).module(dtype=torch.float64)`;
  then every float of its state dict is drawn anew (running variances positive), so that no start of
  zeros hides a mistake
- values: `module(*inputs(generator))` equals `twin(module.state_dict(), *inputs)` to 1e-9 in shape,
  dtype and every entry
- gradients of all inputs and trained parameters, for random weights of all results, equal the
  twin's to 1e-8
- keys: the twin reads every key of the state dict (but `num_batches_tracked`) and no other. Keys
  that begin with one of `frozen`, and no others, have no gradient
- warnings: instantiating gives the TN6xx warnings of `warnings`, no others
- `loose`: the same module, called again with other run-time sizes, equals the twin again
- `refused`: with these sizes `forward` raises a `ValueError`
- `step`: fed with pieces of 2, 1 and the remaining entries along the first axis it names,
  `module.step` returns what `forward` returns for all of it (inputs in `held` are given whole each
  time). The state is a tuple of tensors; where the model has `...` (`reordered`), reordering their
  rows on the way reorders the rows of the result
- round trip: a second module with another seed loads the state dict with `strict=True` and gives
  the same to the bit
- compile: `torch.compile(module, backend="eager", fullgraph=True, dynamic=True)` agrees for both
  sizes
- export: `torch.export.export` with `Dim.AUTO` on every axis in which the two calls differ agrees
  for both sizes; sizes in `fixed` are held

`bad/TN601_….tn` have one mistake each, in the form of `../bad`; a place without a column is one of
several that would be as good.
"""
