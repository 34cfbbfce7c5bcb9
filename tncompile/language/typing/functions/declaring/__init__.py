"""How functions are declared: their parameters, and what arguments can be."""
