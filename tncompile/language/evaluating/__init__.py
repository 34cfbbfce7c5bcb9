"""Integer expressions: values, operators, functions, and expressions as closures."""
