"""Importing a model: a family of its own, one YAML and one Jinja file, created from a folder's chat template.

The template is kept as it is, inside a macro (importer.jinja). The text that an answer adds to its prompt has loss: the
conversation up to the answer's end, minus the prompt in front of it, wherever both are prefixes of the whole.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from swiftkit import assets, files
from swiftkit.chat import template, tokenizer
from swiftkit.chat.template import Template
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.models import catalog, folder, lora, recognize, registry, weights
from swiftkit.models.folder import FolderTemplate
from swiftkit.models.registry import Family, SwiftNames

WRAPPER = Path(__file__).with_suffix(".jinja")


@dataclass(frozen=True)
class ImportedFamily:
    """The name of a family that was created, and its two files."""

    name: str
    declaration: Path
    template: Path


def import_model(path: Path, into: Path) -> ImportedFamily:
    """Write `registry/NAME.yaml` and `templates/NAME.jinja` under `into`; NAME is the folder's.

    Raises:
        SwiftkitError: the folder has no chat template or needs code of its own, or its template breaks a rule.
    """
    config = folder.read_config(path)
    name = re.sub(r"[^a-z0-9_-]+", "_", path.resolve().name.lower()).strip("_")
    target = ImportedFamily(name, into / "registry" / f"{name}.yaml", into / "templates" / f"{name}.jinja")
    architectures = config.get("architectures") or []
    own, swift = _check(path, into, target, architectures)
    source = WRAPPER.read_text(encoding="utf-8").format(name=name, settings=_settings(own), source=_inner(own.source))
    compiled = template.compile(source, name)
    try:
        template.verify(compiled)
    except SwiftkitError as error:
        raise SwiftkitError(
            f"the chat template of {path} cannot be imported: its prompt is not a prefix of the conversation that "
            f"continues with an answer and ends ({error})",
            "write its template by hand: docs/registry.md",
        ) from error
    declaration = yaml.safe_dump(
        _declare(name, path, architectures, swift, compiled), sort_keys=False, allow_unicode=True, width=120
    )
    contents = {
        target.declaration: f"# imported from a model folder by `swiftkit models import`\n{declaration}",
        target.template: source,
    }
    for file, text in contents.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write(file, text)
    return target


def _check(
    path: Path, into: Path, target: ImportedFamily, architectures: list[str]
) -> tuple[FolderTemplate, SwiftNames]:
    """The folder's template and ms-swift's names for the model, if it can and needs to be imported."""
    problems, name = Problems(), target.name
    own = folder.read_template(path)
    if own is None:
        problems.add(
            f"{path} has no chat template to import: is it a base model?",
            "--model_type names the family whose chat format it should be trained on (`swiftkit models`)",
        )
    existing = {*registry.families(), *registry.entries(), *assets.candidates("templates", ".jinja")}
    if not name or name in existing:
        problems.add(
            f"a model, family or template is already named {name}" if name else f"the name of {path} is not usable",
            "rename the folder (letters, digits, - and _)",
        )
    if into.exists() and not into.is_dir():
        problems.add(f"{into} is a file", "name the folder for the family's two files")
    swift: SwiftNames | None = None
    with problems.collect():
        swift = _swift_names(architectures, path)
    for file in (target.declaration, target.template):
        if file.exists():
            problems.add(f"{file} exists already", "delete it to import the model again")
    problems.raise_any()
    assert own and swift
    if compiled := folder.compile_template(path):
        families = [f for f in registry.families().values() if set(f.architectures) & set(architectures)]
        names = ", ".join(f.name for f in families if recognize.same_conversation(compiled, f.template))
        if names:
            raise SwiftkitError(
                f"{path} has the chat template of a known family: {names}", "nothing to import; use --model_type NAME"
            )
    return own, swift


def _declare(name: str, path: Path, architectures: list[str], swift: SwiftNames, compiled: Template) -> dict[str, Any]:
    """The fields of the family's YAML, from the folder's weights and tokenizer.

    Raises:
        SwiftkitError: the folder is not complete, or needs code of its own.
    """
    family = Family(name=name, template=name, architectures=architectures, swift=swift, lora_targets=[], models={})
    model_folder = weights.load_model_folder(path, family, trust_remote_code=False)
    layers = lora.layers_from_tensors(model_folder.tensors)
    experts = {layer.name for layer in layers if layer.is_expert}
    rendered = compiled.render(recognize.PROBE)
    special = tokenizer.special_tokens(tokenizer.load(path))
    return {
        "template": name,
        "special_tokens": [text for text in special if text in rendered],
        "architectures": architectures,
        "swift": swift.model_dump(),
        "lora_targets": sorted({layer.name for layer in layers} - experts),
        "template_notes": f"This is the chat template of {name} as it is; ms-swift has its own, {swift.template}.",
        "models": {name: {"parameters": model_folder.parameters}},
    }


def _swift_names(architectures: list[str], path: Path) -> SwiftNames:
    """ms-swift's names for models of this architecture: those of most models that it knows.

    Raises:
        SwiftkitError: transformers lacks the architecture, or ms-swift knows no model with it.
    """
    joined = "/".join(architectures)
    if not folder.is_built_in(architectures):
        raise SwiftkitError(
            f"{path} holds a {joined or 'model of unnamed architecture'}, which transformers lacks",
            "it would need code of its own; write its family by hand: docs/registry.md",
        )
    known = [
        model
        for model in catalog.models().values()
        if set(model.architectures) & set(architectures) and not model.is_multimodal
    ]
    if not known:
        raise SwiftkitError(
            f"ms-swift 4.6 knows no text model with the architecture {joined}",
            "`swiftkit models --level catalog` lists the models that it knows",
        )
    ((model_type, template_name), _), *_ = Counter((m.swift_type, m.swift_template) for m in known).most_common(1)
    return SwiftNames(model_type=model_type, template=template_name)


def _settings(own: FolderTemplate) -> str:
    """What transformers passes to a template besides the messages, as assignments at its beginning."""
    used = [(key, own.tokens.get(key, "")) for key in template.SPECIAL_TOKEN_VARIABLES if key in own.source]
    lines = [f"{{%- set {key} = {json.dumps(text, ensure_ascii=False)} -%}}" for key, text in used]
    if "strftime_now" in own.source:
        formats = sorted(set(re.findall(r"strftime_now\(\s*[\"']([^\"']+)[\"']", own.source)))
        cases = "".join(
            f"{{%- if format == {json.dumps(f)} -%}}{{{{- {json.dumps(template.FIXED_DATE.strftime(f))} -}}}}"
            "{%- endif -%}"
            for f in formats
        )
        lines.append(f"{{%- macro strftime_now(format) -%}}{cases}{{%- endmacro -%}}")
    return "".join(f"{line}\n" for line in lines)


def _inner(source: str) -> str:
    """A template's text, changed so that it renders the same in the middle of another one."""
    text = template.strip_generation_tags(source.removesuffix("\n"))
    return "{{ '' }}" + text if text[:1].isspace() else text
