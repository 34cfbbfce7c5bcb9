"""The functions and operators of models, in modules as in `language/typing/functions`."""
