"""Manifests → the pods that they would create, and pods → YAML, for the offline command. Pure but for YAML.

Values are read as `kubectl` does: dates stay text. They are written so that no reader takes a text for a number.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from webhook.annotations import PREFIX
from webhook.wording import clip
from webhook.workloads import TEMPLATES, at, created, template

DEFAULT_NAMESPACE = "default"
MAX_SIZE = 8 * 1024 * 1024  # of one document with its aliases written out; Kubernetes takes less
# Of lists and objects; near 250 orjson, which writes the review, writes past the end of its memory
MAX_DEPTH = 100
MAX_NAME = 253  # Kubernetes refuses longer ones; here any text may stand
# What YAML 1.1 or 1.2 readers, not PyYAML's, take for a number, a date or a truth value
_AMBIGUOUS = re.compile(r"[-+]?[.0-9][0-9a-fA-FxXoO_.:+-]*|[yYnN]")


class ManifestError(ValueError):
    """Not YAML, or no pod where one is expected. The message says what was got and expected."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`pod` is a v1 Pod; `origin` says where it comes from, such as `Deployment/payments`, on one line.

    `notes`: what the manifest probably means otherwise than it is read.
    """

    origin: str
    namespace: str
    pod: dict[str, Any]
    notes: tuple[str, ...] = ()


class _Loader(yaml.CSafeLoader):
    pass


# Kubernetes' reader knows neither dates nor `=`, which PyYAML finds but can't construct
_UNKNOWN_TAGS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _UNKNOWN_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401 - PyYAML's own signature
        """Whole values everywhere: a pod is read by people."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    if _AMBIGUOUS.fullmatch(value):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(pod: Mapping[str, Any]) -> str:
    return yaml.dump(pod, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)


def read(text: str, namespace: str | None = None) -> list[Manifest]:
    """Pods of all documents in `text`, in their order; kinds without a pod are left out.

    `namespace` replaces what the manifests say. Raises ManifestError.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
        too_large = any(_size(document, {}) > MAX_SIZE for document in documents)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ManifestError(f"got no YAML, expected a Pod or a workload: {_first_line(error)}") from None
    if too_large:
        raise ManifestError(
            f"got a document of more than {MAX_SIZE} characters, its aliases written out, expected what Kubernetes can keep"
        )
    if any(_is_deeper(document, MAX_DEPTH) for document in documents):
        raise ManifestError(
            f"got lists and objects nested more than {MAX_DEPTH} deep, expected a Kubernetes manifest"
        )
    return [pod for document in documents if document is not None for pod in _pods(document, namespace)]


def _is_deeper(value: object, most: int) -> bool:
    """Of a document that is not too large."""
    if not isinstance(value, dict | list | tuple):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(_is_deeper(item, most - 1) for item in inner)


def _size(value: object, known: dict[int, int]) -> int:
    """Roughly its characters; each alias counts in full, and a value that holds itself is larger than any."""
    if not isinstance(value, dict | list | tuple):  # a tuple from !!omap
        return len(value) + 1 if isinstance(value, str | bytes) else 1
    if id(value) not in known:
        known[id(value)] = MAX_SIZE + 1
        inner = (*value, *value.values()) if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(item, known) for item in inner)
    return known[id(value)]


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _pods(document: object, namespace: str | None) -> Iterator[Manifest]:
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise ManifestError("got a document without a kind, expected Kubernetes manifests")
    kind = document["kind"]
    items = document.get("items")
    if kind.endswith("List") and isinstance(items, list):
        for item in items:
            yield from _pods(item, namespace)
        return
    if kind != "Pod" and kind not in TEMPLATES:
        return
    name = at(document, "metadata", "name") or at(document, "metadata", "generateName") or "?"
    where = namespace or at(document, "metadata", "namespace") or DEFAULT_NAMESPACE
    pod = document if kind == "Pod" else _created(document, str(name))
    notes = (*_misplaced(document), *(() if namespace else _homeless(document, pod)))
    yield Manifest(f"{kind}/{clip(str(name), MAX_NAME)}", str(where), pod, notes)


def _misplaced(document: Mapping[str, Any]) -> Iterator[str]:
    kind = document["kind"]
    ours = _our_annotations(document)
    if kind != "Pod" and ours:
        place = ".".join((*TEMPLATES[kind], "metadata.annotations"))
        yield f"{clip(ours[0], MAX_NAME)} stands on the {kind} itself, where it does nothing; put it under {place}"


def _homeless(document: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    if _our_annotations(pod) and not at(document, "metadata", "namespace"):
        yield f"no namespace in the manifest, so {DEFAULT_NAMESPACE}; give the one it is for with -n"


def _our_annotations(item: Mapping[str, Any]) -> list[str]:
    annotations = at(item, "metadata", "annotations")
    return (
        [name for name in annotations if str(name).startswith(PREFIX)]
        if isinstance(annotations, dict)
        else []
    )


def _created(workload: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = template(workload)
    if found is None:
        kind = workload["kind"]
        raise ManifestError(
            f"{kind}/{name}: got nothing at {'.'.join(TEMPLATES[kind])}, expected a pod template"
        )
    return created(found, name)
