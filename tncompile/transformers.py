"""Let transformers load tensorized models.

    import tncompile.transformers
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained("small")  # a folder that `Tensorized.save` wrote

It registers the quantization method "tncompile". The networks are in `config.json` as text, and
compiled when the model is made. Raises ValueError where transformers, an extra, is missing.
"""

from tncompile.tensorizing.originals.pretrained import imported_transformers

imported_transformers()

from tncompile.tensorizing.replacing.quantizer import register  # noqa: E402

register()
