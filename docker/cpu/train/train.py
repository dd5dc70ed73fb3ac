"""Trains the demo's model on two CPU cores and writes it in Hugging Face's format.

    .venv-cpu/bin/python docker/cpu/train/train.py --out docker/cpu/model

Same seed, same PyTorch, same kind of CPU and thread count: same weights.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from answers import Step
from model import Shape, TinyLlama
from population import Item, Task, build_tasks
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BOS: Final = "<s>"
EOS: Final = "</s>"
PAD: Final = "<pad>"
IGNORED: Final = -1


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and one path through its answer.

    ``targets`` has one pair of token ids a position: the pair of equal continuations, twice the
    same id where only one is right, ``IGNORED`` inside the prompt.
    """

    tokens: list[int]
    targets: list[tuple[int, int]]


def train_tokenizer(tasks: list[Task], vocabulary: int) -> Tokenizer:
    """Byte-level BPE over prompts and answers; answer words become single tokens."""
    rng = random.Random(0)
    texts = []
    for task in tasks:
        for item in task.items:
            texts.append(task.prompt(item))
            texts += ["".join(s.text for s in item.answer.sample(rng)) for _ in range(6)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


class Corpus:
    """Draws training batches: every prompt once an epoch, a fresh path through its answer."""

    def __init__(self, tasks: list[Task], tokenizer: Tokenizer, seed: int) -> None:
        self._tokenizer = tokenizer
        self._rng = random.Random(seed)
        self._eos = tokenizer.token_to_id(EOS)
        self._items = [
            (tokenizer.encode(task.prompt(item)).ids, item) for task in tasks for item in task.items
        ]
        self._pieces: dict[str, list[int]] = {}

    def _encode(self, text: str) -> list[int]:
        if text not in self._pieces:
            self._pieces[text] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return self._pieces[text]

    def _targets(self, step: Step) -> list[tuple[int, int]]:
        taken = self._encode(step.text)
        targets = [(token, token) for token in taken]
        for option in step.options:
            other = self._encode(option)
            for place, (ours, theirs) in enumerate(zip(taken, other, strict=False)):
                if ours != theirs:
                    targets[place] = (ours, theirs)
                    break
        return targets

    def example(self, prompt: list[int], item: Item) -> Example:
        """One drawn example."""
        targets = [t for step in item.answer.sample(self._rng) for t in self._targets(step)]
        answer = [taken for taken, _ in targets]
        targets.append((self._eos, self._eos))
        skipped = [(IGNORED, IGNORED)] * (len(prompt) - 1)
        return Example(prompt + answer, skipped + targets)

    def epoch(self, batch_size: int) -> Iterator[list[Example]]:
        """All prompts in random batches of like length."""
        examples = [self.example(*pair) for pair in self._items]
        examples.sort(key=lambda e: len(e.tokens) + self._rng.uniform(0, 12))
        batches = [examples[i : i + batch_size] for i in range(0, len(examples), batch_size)]
        self._rng.shuffle(batches)
        yield from batches


def collate(batch: list[Example], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad a batch to (batch, length) tokens and (batch, length, 2) targets."""
    length = max(len(e.tokens) for e in batch)
    tokens = torch.full((len(batch), length), pad)
    targets = torch.full((len(batch), length, 2), IGNORED)
    for row, example in enumerate(batch):
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens)
        targets[row, : len(example.targets)] = torch.tensor(example.targets)
    return tokens, targets


@dataclass(frozen=True, slots=True)
class Losses:
    """Training signal of one batch, and what the log shows of it."""

    total: torch.Tensor
    certain: float
    gap: float


def losses(
    model: TinyLlama, tokens: torch.Tensor, targets: torch.Tensor, tie_weight: float
) -> Losses:
    """Soft cross-entropy, with the logits of right continuations held near zero.

    Small numbers are written in fine bfloat16 steps, so this relative of the z-loss (PaLM, 2022)
    keeps equal continuations from being rounded to exactly equal logits. ``tie_weight`` counts
    the squared difference of two equally right logits, the same optimum as the soft
    cross-entropy's.
    """
    answer = targets[..., 0] != IGNORED
    logits = model.logits(model(tokens)[answer])
    wanted = targets[answer]
    picked = logits.gather(1, wanted)
    normaliser = logits.logsumexp(1)
    tie = wanted[:, 0] != wanted[:, 1]
    difference = (picked[:, 0] - picked[:, 1])[tie]
    cross_entropy = normaliser - picked.mean(1)
    total = cross_entropy.mean() + 0.01 * normaliser.pow(2).mean()
    if tie.any():
        total = total + tie_weight * difference.pow(2).mean()
    certain = cross_entropy[~tie].mean().item()
    return Losses(total, certain, difference.detach().abs().mean().item() if tie.any() else 0.0)


def export(model: TinyLlama, tokenizer: Tokenizer, folder: Path) -> None:
    """Write what ``vllm --model`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = model.shape
    special = {name: tokenizer.token_to_id(name) for name in (BOS, EOS, PAD)}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "bos_token_id": special[BOS],
        "eos_token_id": special[EOS],
        "pad_token_id": special[PAD],
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": 512,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": shape.vocabulary,
    }
    generation = {"bos_token_id": special[BOS], "eos_token_id": special[EOS]}
    tokens = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
    }
    for name, content in (
        ("config.json", config),
        ("generation_config.json", generation),
        ("tokenizer_config.json", tokens),
    ):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(model.hf_state(), str(folder / "model.safetensors"), metadata={"format": "pt"})


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over 40 steps, then a cosine down to zero."""
    if step < 40:
        return peak * (step + 1) / 40
    return peak * 0.5 * (1 + math.cos(math.pi * (step - 40) / max(1, steps - 40)))


def train(arguments: argparse.Namespace) -> None:
    """The whole training."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    tasks = build_tasks()
    tokenizer = train_tokenizer(tasks, arguments.vocabulary)
    shape = Shape(
        tokenizer.get_vocab_size(),
        arguments.hidden,
        arguments.intermediate,
        arguments.layers,
        arguments.heads,
    )
    model = TinyLlama(shape)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{size:.2f}M parameters, {shape}", flush=True)
    corpus = Corpus(tasks, tokenizer, arguments.seed)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": arguments.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
        fused=True,
    )
    pad = tokenizer.token_to_id(PAD)
    started, step = time.monotonic(), 0
    shown: list[Losses] = []
    while step < arguments.steps:
        for batch in corpus.epoch(arguments.batch):
            progress = step / arguments.steps
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, arguments.steps, arguments.lr)
            # Ties matter once the texts are known: their weight grows with the training.
            result = losses(model, *collate(batch, pad), tie_weight=arguments.tie_weight * progress)
            optimizer.zero_grad(set_to_none=True)
            result.total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            shown.append(result)
            step += 1
            if step % 20 == 0:
                mean = sum(r.certain for r in shown) / len(shown)
                gap = sum(r.gap for r in shown) / len(shown)
                print(
                    f"step {step}/{arguments.steps} certain {mean:.4f} tie gap {gap:.4f} "
                    f"{time.monotonic() - started:.0f} s",
                    flush=True,
                )
                shown.clear()
            if step >= arguments.steps:
                break
    export(model, tokenizer, arguments.out)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--tie-weight", type=float, default=1.0)
    parser.add_argument("--vocabulary", type=int, default=1280)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--intermediate", type=int, default=1152)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=42)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
