"""All cases of this folder."""

from tests.acceptance.models import (
    adapters,
    checkpoints,
    convolutions,
    functions,
    layers,
    operators,
    ownership,
    recurrence,
    sizes,
    transformers,
)
from tests.acceptance.models.case import Case

MODULES = (
    transformers,
    convolutions,
    recurrence,
    adapters,
    checkpoints,
    operators,
    ownership,
    sizes,
    functions,
    layers,
)
CASES: list[Case] = [case for module in MODULES for case in module.CASES]
