"""A model, ready to read text: resolved, checked, with its tokenizer and chat template."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from swiftkit.chat import stops, template, tokenizer
from swiftkit.chat.encode import ChatEncoder
from swiftkit.chat.template import Template
from swiftkit.models.folder import eos_token
from swiftkit.models.registry import ResolvedModel
from swiftkit.models.weights import ModelFolder, load_model_folder, resolve_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class ModelContext:
    """A model with its checked folder, its tokenizer and the template that its conversations are rendered by.

    Attributes:
        model: what the user means.
        folder: its weights.
        trust_remote_code: whether code in the folder may run.
        template_override: the chat template, where it is not the registry's (a run keeps the one it was trained with).
    """

    model: ResolvedModel
    folder: ModelFolder
    trust_remote_code: bool = False
    template_override: Template | None = None

    @classmethod
    def load(cls, model: ResolvedModel, *, trust_remote_code: bool = False, download: bool = True) -> ModelContext:
        """Find and check the folder of a model.

        Raises:
            SwiftkitError: there is none, or it must not be used.
        """
        path = resolve_folder(model, download=download)
        folder = load_model_folder(path, model.family, trust_remote_code=trust_remote_code)
        return cls(model, folder, trust_remote_code)

    @cached_property
    def tokenizer_file(self) -> Path:
        """A tokenizer.json as transformers builds it.

        Raises:
            SwiftkitError: transformers cannot read the tokenizer.
        """
        return tokenizer.find(
            self.folder.path, use_tokenizer_json=self.model.is_bundled, trust_remote_code=self.trust_remote_code
        )

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer.

        Raises:
            SwiftkitError: it cannot be read, or belongs to another model.
        """
        loaded = tokenizer.read(self.tokenizer_file)
        tokenizer.check(loaded, self.folder.path, self.folder.config, self.model.family.special_tokens)
        return loaded

    @cached_property
    def template(self) -> Template:
        """The chat template.

        Raises:
            SwiftkitError: it breaks a rule.
        """
        return self.template_override or template.load(self.model.family.template)

    @cached_property
    def encoder(self) -> ChatEncoder:
        """Conversations and plain text to tokens, as training and exams see them."""
        return ChatEncoder(self.tokenizer, self.template, eos_token(self.folder.path))

    @property
    def notes(self) -> list[str]:
        """What a user should know: that the tokenizer lacks the token that ends answers."""
        text = stops.stop_text(self.template)
        if len(self.tokenizer.encode(text, add_special_tokens=False).ids) <= 1:
            return []
        return [f"this tokenizer has no token for `{text}`, which ends answers: generation may not stop"]

    @property
    def max_positions(self) -> int | None:
        """Longest sequence that the model can read, in tokens, if its config says so."""
        value = self.folder.config.get("max_position_embeddings")
        return int(value) if value else None
