"""The tokenizer of a bundled model, trained on the text of its conversations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from swiftkit.chat import template

from .conversations import SEED, Conversations, forbidden_questions
from .families import VOCABULARY_SIZE, Family

NUM_CONVERSATIONS = 30_000
# https://github.com/huggingface/transformers, tokenization of Qwen2: words, single digits, punctuation, white space
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(family: Family) -> Tokenizer:
    """Byte-level BPE with the word rule of Qwen2.

    Raises:
        ValueError: the text is too small for a vocabulary of `VOCABULARY_SIZE` tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(family.special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(family), trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in family.special_tokens])
    if tokenizer.get_vocab_size() != VOCABULARY_SIZE:
        raise ValueError(f"the vocabulary has {tokenizer.get_vocab_size()} tokens, not {VOCABULARY_SIZE}")
    return tokenizer


def _texts(family: Family) -> Iterator[str]:
    """Rendered conversations without special tokens, which must not become part of the merges."""
    chat_template = template.load(family.template)
    for conversation in islice(Conversations(SEED - 1, forbidden_questions()), NUM_CONVERSATIONS):
        text = chat_template.render(conversation)
        for token in family.special_tokens:
            text = text.replace(token, "")
        yield text
