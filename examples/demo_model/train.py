"""Trains the demo model from scratch: a byte-level BPE tokenizer and a very small Llama."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

END_OF_TEXT = "<|endoftext|>"
"""Token 0. Half of the training windows begin with it; the model is never asked to predict it."""

VOCABULARY = 1024
CONTEXT = 512


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the model is trained. The last quarter sees long windows: every position up to 512 is trained."""

    steps: int = 5000
    batch_tokens: int = 4096
    short_window: int = 256
    long_window: int = CONTEXT
    long_share: float = 0.25
    peak_learning_rate: float = 4e-3
    final_learning_rate_share: float = 0.02
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    gradient_norm: float = 1.0
    threads: int = 2

    def window(self, step: int) -> int:
        """Tokens a training sequence at `step` (counted from 0)."""
        return self.short_window if step < self.steps * (1 - self.long_share) else self.long_window

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then a cosine down to a small share of the peak."""
        if step < self.warmup_steps:
            return self.peak_learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        floor = self.final_learning_rate_share
        return self.peak_learning_rate * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)


def train_tokenizer(text: str) -> Tokenizer:
    """Byte-level BPE with the GPT-2 style split into words; any text can be encoded, none is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    return tokenizer


def model_config() -> LlamaConfig:
    """About half a million parameters. 32 divides all sides of the matrices: int4 blocks are 32 long."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        initializer_range=0.04,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
        attn_implementation="sdpa",
    )


def sample_batch(tokens: torch.Tensor, window: int, count: int, chance: torch.Generator) -> torch.Tensor:
    """`count` windows from random places, (count, window); half of them begin with the end-of-text token."""
    starts = torch.randint(len(tokens) - window, (count, 1), generator=chance)
    batch = tokens[starts + torch.arange(window)]
    batch[: count // 2, 0] = 0
    return batch


def parameter_groups(model: LlamaForCausalLM, weight_decay: float) -> list[dict[str, object]]:
    """Decay matrices only: pulling normalisation gains to zero has no use."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    gains = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": gains, "weight_decay": 0.0}]


def train_model(train_tokens: np.ndarray, validation_tokens: np.ndarray, recipe: Recipe, seed: int) -> LlamaForCausalLM:
    """Train from a seeded initialisation. Validation loss is only printed: nothing is chosen by it."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(recipe.threads)  # the order of sums depends on it, and so do the last digits
    chance = torch.Generator().manual_seed(seed)
    model = LlamaForCausalLM(model_config())
    optimizer = torch.optim.AdamW(
        parameter_groups(model, recipe.weight_decay), betas=(recipe.beta1, recipe.beta2), fused=True
    )
    tokens = torch.from_numpy(train_tokens.astype(np.int64))
    began = time.monotonic()
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate(step)
        window = recipe.window(step)
        batch = sample_batch(tokens, window, recipe.batch_tokens // window, chance)
        loss = next_token_loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_norm)
        optimizer.step()
        if step % 250 == 249 or step == 49:
            validation = validation_loss(model, validation_tokens, recipe.short_window)
            print(
                f"step {step + 1}: train {loss.item():.4f}, validation {validation:.4f} nats a token, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
    return model.eval()


def next_token_loss(model: LlamaForCausalLM, batch: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood in nats a token of `batch`, shape (sequences, window)."""
    logits = model(batch, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten())


@torch.no_grad()
def validation_loss(model: LlamaForCausalLM, tokens: np.ndarray, window: int) -> float:
    """Loss over the whole validation part in disjoint windows, in nats a token."""
    whole = len(tokens) // window * window
    return next_token_loss(model, torch.from_numpy(tokens[:whole].astype(np.int64)).view(-1, window)).item()
