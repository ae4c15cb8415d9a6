"""The model families of the bundled models: architecture, sizes and special tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import transformers

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY_SIZE = 1280
MAX_LENGTH = 2048
SIZES = {
    "vocab_size": VOCABULARY_SIZE,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": MAX_LENGTH,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Family:
    """What differs between the families.

    Attributes:
        template: name of the chat template.
        architecture: prefix of the configuration and model classes in transformers.
        special_tokens: special tokens in the order of their ids.
        eos: end token of the tokenizer.
        pad: padding token.
        stop_tokens: tokens that end a response.
        turn_end: token that ends a turn when another one follows.
        document_end: token that ends a document.
        bos: first token of the configuration, or None.
        extra_config: further values of the configuration.
    """

    template: str
    architecture: str
    special_tokens: tuple[str, ...]
    eos: str
    pad: str
    stop_tokens: tuple[str, ...]
    turn_end: str
    document_end: str
    bos: str | None = None
    extra_config: tuple[tuple[str, Any], ...] = ()


FAMILIES = {
    "qwen2_5": Family(
        template="qwen2_5",
        architecture="Qwen2",
        special_tokens=(
            "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
            "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>",
            "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
        ),
        eos="<|im_end|>",
        pad="<|endoftext|>",
        stop_tokens=("<|im_end|>", "<|endoftext|>"),
        turn_end="<|im_end|>",
        document_end="<|endoftext|>",
    ),
    "ernie4_5": Family(
        template="ernie",
        architecture="Ernie4_5",
        special_tokens=("<unk>", "<s>", "</s>", "<|begin_of_sentence|>", "<|end_of_sentence|>"),
        eos="</s>",
        pad="<unk>",
        stop_tokens=("</s>", "<|end_of_sentence|>"),
        turn_end="<|end_of_sentence|>",
        document_end="</s>",
        bos="<s>",
        extra_config=(("head_dim", 32),),
    ),
}  # fmt: skip


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token.

    Raises:
        ValueError: the tokenizer does not have the token.
    """
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"the tokenizer has no token {token!r}")
    return found


def new_model(family: Family, tokenizer: Tokenizer) -> Any:
    """The architecture of the family with random weights."""
    ids = {
        "eos_token_id": token_id(tokenizer, family.eos),
        "pad_token_id": token_id(tokenizer, family.pad),
        "bos_token_id": token_id(tokenizer, family.bos) if family.bos else None,
    }
    config = getattr(transformers, f"{family.architecture}Config")(**SIZES, **dict(family.extra_config), **ids)
    model_class: Any = getattr(transformers, f"{family.architecture}ForCausalLM")
    # The backward pass of PyTorch's fused attention takes half of a step on a CPU at this length; eager takes less.
    return model_class._from_config(config, attn_implementation="eager")
