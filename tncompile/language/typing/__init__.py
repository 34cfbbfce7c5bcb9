"""Values of models: their shapes, in sizes that may be known at run time only, and kinds."""
