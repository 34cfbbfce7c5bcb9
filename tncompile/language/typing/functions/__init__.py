"""The functions and operators of models: what each takes and gives, written in one place each."""

from tncompile.language.typing.functions.operators import apply_operator as apply_operator
from tncompile.language.typing.functions.table import FUNCTIONS as FUNCTIONS
from tncompile.language.typing.functions.table import apply_function as apply_function
from tncompile.language.typing.functions.table import operand_kinds as operand_kinds
