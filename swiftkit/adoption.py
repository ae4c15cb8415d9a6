"""Adopting a model: a family of its own, one YAML and one Jinja file, made from a folder's own chat template.

The template stays as it stands, inside of a macro. What an answer adds to its prompt is learned: the text of the
conversation up to its end, less the text of the prompt in front of it, wherever both are the beginning of the whole.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from swiftkit import assets, catalogue, chat, lora, model_folder, models, runs, tokenization, weights
from swiftkit.errors import Problems, SwiftkitError
from swiftkit.model_folder import Own

OUTER = """\
{{#- The chat template of {name} as it stands. What an answer adds to the prompt in front of it is learned. -#}}
{settings}{{%- macro rendered(messages, add_generation_prompt) %}}{source}{{{{ '' }}}}{{% endmacro -%}}
{{%- if messages[0].role == 'system' and not messages[0].content | trim -%}}
    {{%- set messages = messages[1:] -%}}
{{%- endif -%}}
{{%- if add_generation_prompt -%}}
    {{{{- rendered(messages, true) -}}}}
{{%- else -%}}
    {{%- set whole = rendered(messages, false) -%}}
    {{%- set written = namespace(to=0) -%}}
    {{%- for message in messages -%}}
        {{%- if message.role == 'assistant' -%}}
            {{%- set prompt = rendered(messages[:loop.index0], true) -%}}
            {{%- set answered = whole if loop.last else rendered(messages[:loop.index], false) -%}}
            {{%- if whole.startswith(prompt) and whole.startswith(answered) and written.to <= prompt | length -%}}
                {{{{- whole[written.to:prompt | length] -}}}}
                {{%- generation -%}}{{{{- whole[prompt | length:answered | length] -}}}}{{%- endgeneration -%}}
                {{%- set written.to = answered | length -%}}
            {{%- endif -%}}
        {{%- endif -%}}
    {{%- endfor -%}}
    {{{{- whole[written.to:] -}}}}
{{%- endif -%}}
"""


def adopt(folder: Path, into: Path) -> tuple[str, Path, Path]:
    """Write `registry/NAME.yaml` and `templates/NAME.jinja` under `into`; NAME is the folder's.

    Returns:
        the name, and the two files.

    Raises:
        SwiftkitError: the folder has no chat template, needs code of its own, or its template breaks a rule.
    """
    config = model_folder.read_config(folder)
    name = re.sub(r"[^a-z0-9_-]+", "_", folder.resolve().name.lower()).strip("_")
    own = model_folder.own_template(folder)
    problems = Problems()
    if own is None:
        problems.add(
            f"{folder} has no chat template to adopt: is it a base model?",
            "--model_type names the family whose chat format it shall learn (`swiftkit models`)",
        )
    if not name or {name} & {*models.families(), *models.entries(), *assets.claims("templates", ".jinja")}:
        problems.add(
            f"a model, family or template is named {name} already" if name else f"{folder} has no name to call it by",
            "rename the folder (letters, digits, - and _)",
        )
    if into.exists() and not into.is_dir():
        problems.add(f"{into} is a file", "name the folder that the family's two files are put into")
    swift: models.SwiftNames | None = None
    with problems.collect():
        swift = _swift(config.get("architectures") or [], folder)
    declared, rendered = into / "registry" / f"{name}.yaml", into / "templates" / f"{name}.jinja"
    for file in (declared, rendered):
        if file.exists():
            problems.add(f"{file} is there already", "delete it to adopt the model anew")
    problems.raise_any()
    assert own and swift
    if theirs := model_folder.template(folder):
        fitting = [f for f in models.families().values() if set(f.architectures) & set(config["architectures"])]
        of = ", ".join(f.name for f in fitting if model_folder.ends_alike(theirs, f.template))
        if of:
            raise SwiftkitError(f"{folder} has the chat template of a family already: {of}", "nothing is to be adopted")
    source = OUTER.format(name=name, settings=_settings(own), source=_whole(own.source))
    template = chat.compile(source, name)
    try:
        chat.verify(template)
    except SwiftkitError as error:
        raise SwiftkitError(
            f"the chat template of {folder} cannot be adopted: its prompt is not the beginning of a conversation "
            f"that goes on with an answer and an end ({error})",
            "write its template by hand: docs/registry.md",
        ) from error
    content = _declaration(name, folder, config["architectures"], swift, template)
    texts = {
        declared: "# adopted from a model folder by `swiftkit models adopt`\n"
        + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120),
        rendered: source,
    }
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        runs.write(file, text)
    return name, declared, rendered


def _declaration(
    name: str, folder: Path, architectures: list[str], swift: models.SwiftNames, template: chat.Template
) -> dict[str, Any]:
    """The fields of the family's YAML, read off the folder's weights and tokenizer.

    Raises:
        SwiftkitError: the folder is not whole, or needs code of its own.
    """
    family = models.Family(
        name=name, template=name, architectures=architectures, swift=swift, lora_targets=[], models={}
    )
    inspected = weights.inspect(folder, family, trust_remote_code=False)
    found = lora.layers(inspected.tensors)
    experts = {layer.name for layer in found if layer.expert}
    shown = template.render(model_folder.PROBE)
    return {
        "template": name,
        "special_tokens": [text for text in tokenization.special(tokenization.load(folder)) if text in shown],
        "architectures": architectures,
        "swift": swift.model_dump(),
        "lora_targets": sorted({layer.name for layer in found} - experts),
        "differs": f"This is the chat template of {name} as it stands; ms-swift has one of its own, {swift.template}.",
        "models": {name: {"parameters": inspected.parameters}},
    }


def _swift(architectures: list[str], folder: Path) -> models.SwiftNames:
    """What ms-swift calls models of this architecture: most of those that it knows.

    Raises:
        SwiftkitError: transformers has no such architecture, or ms-swift knows no model of it.
    """
    if not model_folder.built_in(architectures):
        raise SwiftkitError(
            f"{folder} holds a {'/'.join(architectures) or 'model of unnamed architecture'}, which transformers lacks",
            "it would need code of its own, for which a family is written by hand: docs/registry.md",
        )
    known = [k for k in catalogue.models().values() if set(k.architectures) & set(architectures) and not k.multimodal]
    if not known:
        raise SwiftkitError(
            f"ms-swift 4.6 knows no text model with the architecture {'/'.join(architectures)}",
            "`swiftkit models --level known` lists those that it knows",
        )
    ((kind, template), _), *_ = Counter((k.swift_type, k.swift_template) for k in known).most_common(1)
    return models.SwiftNames(model_type=kind, template=template)


def _settings(own: Own) -> str:
    """What transformers hands to a template beside the messages, as settings at its beginning."""
    asked = [(key, own.tokens.get(key, "")) for key in chat.TOKENS if key in own.source]
    lines = [f"{{%- set {key} = {json.dumps(text, ensure_ascii=False)} -%}}" for key, text in asked]
    if "strftime_now" in own.source:
        formats = sorted(set(re.findall(r"strftime_now\(\s*[\"']([^\"']+)[\"']", own.source)))
        said = [(json.dumps(f), json.dumps(chat.FIXED_DATE.strftime(f))) for f in formats]
        cases = "".join(f"{{%- if format == {f} -%}}{{{{- {day} -}}}}{{%- endif -%}}" for f, day in said)
        lines.append(f"{{%- macro strftime_now(format) -%}}{cases}{{%- endmacro -%}}")
    return "".join(f"{line}\n" for line in lines)


def _whole(source: str) -> str:
    """A template's text so that it says the same in the middle of another one."""
    text = chat.plain(source.removesuffix("\n"))
    return "{{ '' }}" + text if text[:1].isspace() else text
