"""What is wrong with a model block whatever its arguments are: names, attributes, the output."""

from tncompile.language.typing.checking.block import check_model as check_model
