"""Builds the small Core ML models in tests/golden/core_ml, with what torch answers beside them.

Run by hand in the models' environment: python examples/core_ml_golden.py
"""

from __future__ import annotations

from pathlib import Path

import core_ml_llama
import core_ml_package
import coremltools
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden" / "core_ml"
SEED = 20
CONTEXT = 32
TOKENS = 24
PICTURES = 4
CLOSE = 1e-4
"""Largest difference of a logit between the modules that are converted and Transformers; ten times what was seen."""


def main() -> None:
    torch.manual_seed(SEED)
    build_language_models(FOLDER)
    build_classifier(FOLDER)
    for package in sorted(FOLDER.glob("*.mlpackage")):
        print(package.name, core_ml_package.size(package), dict(core_ml_package.operators(package)))


def build_language_models(folder: Path) -> None:
    """tiny-flexible, tiny-one-token and tiny.npz, all of one Llama."""
    llama = make_llama()
    tokens = torch.randint(0, llama.config.vocab_size, (1, TOKENS), dtype=torch.int32)
    with torch.no_grad():
        plain = llama(tokens.long(), use_cache=False).logits[0].numpy()
    rounded = step_by_step(core_ml_llama.FlexibleLlama(llama, CONTEXT), tokens)
    exact = core_ml_llama.FlexibleLlama(llama, CONTEXT)
    exact.keyCache, exact.valueCache = exact.keyCache.float(), exact.valueCache.float()
    difference = float(np.abs(step_by_step(exact, tokens) - plain).max())
    if not difference <= CLOSE:
        raise SystemExit(f"the module to convert differs from Transformers by {difference:g}, more than {CLOSE:g}")
    flexible = core_ml_llama.convert_flexible(llama, CONTEXT, core_ml_llama.FLOAT32)
    core_ml_package.save(flexible, folder / "tiny-flexible.mlpackage")
    one_token = core_ml_llama.convert_one_token(llama, CONTEXT, core_ml_llama.FLOAT32)
    core_ml_package.save(one_token, folder / "tiny-one-token.mlpackage")
    np.savez(folder / "tiny.npz", tokens=tokens[0].numpy(), logits=rounded, logits_float32_cache=plain)
    print(f"tiny: float16 cache changes logits by {np.abs(rounded - plain).max():.2g}")


def make_llama() -> LlamaForCausalLM:
    """Random weights, large enough that attention and position matter. No two lengths are equal, to tell axes apart."""
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=24,
        intermediate_size=28,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
    )
    llama = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in llama.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    return llama


@torch.no_grad()
def step_by_step(llama: core_ml_llama.FlexibleLlama, tokens: torch.Tensor) -> np.ndarray:
    """Logits after each token, (tokens, vocabulary), one token a call."""
    rows = [llama(tokens[:, at : at + 1], torch.zeros(1, 1, 1, at + 1)) for at in range(tokens.shape[1])]
    return torch.cat(rows, dim=1)[0].numpy()


class SmallNet(torch.nn.Module):
    """One of each operator that a plain picture classifier is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.first_norm = torch.nn.BatchNorm2d(6)
        self.residual = torch.nn.Conv2d(6, 6, 3, groups=3)
        self.residual_norm = torch.nn.BatchNorm2d(6)
        self.narrow = torch.nn.Conv2d(6, 5, 1, stride=2)
        self.linear = torch.nn.Linear(5 * 2 * 3, 7)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first_norm(self.first(image)))
        padded = torch.nn.functional.pad(x, (1, 1, 1, 1), value=0.5)
        x = torch.relu(x + self.residual_norm(self.residual(padded)))
        x = torch.nn.functional.max_pool2d(x, 3, stride=2, padding=1)
        # A norm before anything that it could be folded into.
        x = torch.sigmoid(self.narrow(self.residual_norm(x)))
        x = torch.nn.functional.avg_pool2d(x, 2, stride=1, padding=1, count_include_pad=False)
        x = torch.nn.functional.avg_pool2d(x, (2, 2), stride=2)
        return torch.softmax(self.linear(x.flatten(1)), dim=-1)


def build_classifier(folder: Path) -> None:
    """conv.mlpackage, for one picture at a time, and conv.npz."""
    net = SmallNet().eval()
    with torch.no_grad():
        for norm in (net.first_norm, net.residual_norm):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            norm.weight.uniform_(0.5, 2)
            norm.bias.normal_()
        net.linear.weight.mul_(6)
    # Each picture and channel around a value of its own, so that answers differ.
    images = torch.randn(PICTURES, 2, 13, 17) + 3 * torch.randn(PICTURES, 2, 1, 1)
    with torch.no_grad():
        probabilities = torch.cat([net(image[None]) for image in images])
        traced = torch.jit.trace(net, images[:1])
    model = coremltools.convert(
        traced,
        inputs=[coremltools.TensorType("image", (1, 2, 13, 17), dtype=np.float32)],
        outputs=[coremltools.TensorType("probabilities", dtype=np.float32)],
        minimum_deployment_target=core_ml_llama.TARGET,
        compute_precision=core_ml_llama.FLOAT32,
        skip_model_load=True,
    )
    core_ml_package.save(model, folder / "conv.mlpackage")
    np.savez(folder / "conv.npz", images=images.numpy(), probabilities=probabilities.numpy())


if __name__ == "__main__":
    main()
