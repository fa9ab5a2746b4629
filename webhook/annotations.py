"""Annotations under podkeys.dev/ → InjectionRequest. Pure; knows nothing of roles or of the pod.

Each annotation has one reader. A new one is a reader and its line in READERS, a field in InjectionRequest, and
a section in docs/annotations.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from agent.config import OnChange
from webhook import values
from webhook.outcome import Misnamed, Problem, first
from webhook.values import NOTHING, EnvEntry, Names, Sidecar, WrongValueError
from webhook.wording import clip, listed, quote

T = TypeVar("T")

PREFIX = "podkeys.dev/"
INJECT = "inject"
STATUS = "status"
MAX_ANNOTATIONS = 500
MAX_CHARACTERS = 256 * 1024  # names and values: more bytes than that Kubernetes keeps of no pod's annotations
OPTIONS = ("file", "format", "key", "template", "mode")


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How one entry becomes a file; empty texts are the defaults."""

    file: str = ""
    format: str = ""
    key: str = ""
    template: str = ""
    mode: str = ""


@dataclass(frozen=True, slots=True)
class InjectionRequest:
    """What the annotations ask for. `role` and `containers` empty: the pod names none."""

    role: str = ""
    secrets: Names = NOTHING
    certificates: Names = NOTHING
    identity: bool = False
    env: tuple[EnvEntry, ...] = ()
    containers: tuple[str, ...] = ()
    sidecar: Sidecar = "auto"
    on_change: OnChange | None = None
    options: Mapping[str, FileOptions] = field(default_factory=dict)


def any_ours(annotations: Iterable[str]) -> bool:
    """Whether one of these names is under our prefix."""
    return any(name[: len(PREFIX)].lower() == PREFIX for name in annotations)


def ours(annotations: Mapping[str, T]) -> dict[str, T]:
    """Annotations under our prefix, without it; of more than MAX_ANNOTATIONS one more, and those that decide for all.

    Kubernetes allows other spellings of it, such as `Podkeys.dev/inject`: they stay whole, and so are unknown.
    """
    chosen = (
        (name.removeprefix(PREFIX), value)
        for name, value in annotations.items()
        if name[: len(PREFIX)].lower() == PREFIX
    )
    decisive = {name: annotations[PREFIX + name] for name in (INJECT, STATUS) if PREFIX + name in annotations}
    return dict(islice(chosen, MAX_ANNOTATIONS + 1)) | decisive


def asks(annotations: Mapping[str, str]) -> bool:
    """Whether a pod with what `ours` returned wants to be injected: all but the exact opposite does.

    The chart's registration and its admission policies decide the same in CEL (podkeys.asks).
    """
    return bool(annotations) and annotations.get("inject") != "false"


def parse(found: Mapping[str, str]) -> tuple[InjectionRequest, list[Problem]]:
    """What `ours` returned → the request and everything that is wrong with it, in a fixed order.

    What can't be read stays at its default: with problems, the request serves only to find more of them.
    """
    too_big = _too_big(found)
    if too_big:
        return InjectionRequest(), [too_big]
    problems = [*first(_unknown(found)), *_without_inject(found)]
    fields: dict[str, Any] = {}
    for name, (attribute, reader) in READERS.items():
        if name in found:
            try:
                fields[attribute] = reader(found[name])
            except WrongValueError as error:
                problems.append(_wrong(name, error))
    options, wrong = _options(found)
    return InjectionRequest(options=options, **fields), [*problems, *first(wrong), *_asks_for_nothing(found)]


def _too_big(annotations: Mapping[str, str]) -> Problem | None:
    if len(annotations) > MAX_ANNOTATIONS:
        count, most = f"more than {MAX_ANNOTATIONS}", f"{MAX_ANNOTATIONS}"
    else:
        size = sum(map(len, annotations)) + sum(map(len, annotations.values()))
        count, most = f"{size} characters", f"{MAX_CHARACTERS}"
        if size <= MAX_CHARACTERS:
            return None
    return Problem("too-big", f"metadata.annotations: got {count} under {PREFIX}, expected at most {most}")


def _unknown(found: Mapping[str, str]) -> Iterator[Problem]:
    known = ("inject", *READERS, *(f"{option}.<name>" for option in OPTIONS))
    expected = listed(known)
    for name in sorted(found):
        option, dot, _ = name.partition(".")
        if name == "inject" or name in READERS or (dot and option in OPTIONS):
            continue
        shown = clip(name.removeprefix(PREFIX), 80)
        if "/" in name:  # the prefix itself is misspelt
            yield Problem("annotation", f"{shown}: unknown annotation; the prefix is {PREFIX}, in lower case")
        else:
            slip = Misnamed(name, known, PREFIX, otherwise=f"; expected one of {expected}")
            yield Problem("annotation", f"{PREFIX}{shown}: unknown annotation", slip)


def _without_inject(found: Mapping[str, str]) -> Iterator[Problem]:
    value = found.get("inject")
    if value is None and not found:
        return
    if value is None:
        first = clip(min(found), 80)
        names = first if "/" in first else PREFIX + first  # a misspelt prefix is part of the name
        yield Problem(
            "annotation",
            f'{PREFIX}inject: got nothing, but {names} is set; add {PREFIX}inject: "true", or remove {names}',
        )
    elif value != "true":
        yield Problem(
            "annotation", f'{PREFIX}inject: got {quote(value)}, expected "true" or "false", in lower case'
        )


def _asks_for_nothing(found: Mapping[str, str]) -> Iterator[Problem]:
    asks = ("secrets", "certificates", "identity", "env")
    if found.get("inject") == "true" and not any(
        name in found and (name, found[name]) != ("identity", "false") for name in asks
    ):
        names = ", ".join(PREFIX + name for name in asks)
        yield Problem(
            "nothing-asked",
            f'{PREFIX}inject: got "true", but nothing is asked for; add at least one of {names}, or remove {PREFIX}inject',
        )


def _wrong(name: str, error: WrongValueError) -> Problem:
    return Problem("annotation", f"{PREFIX}{clip(name, 80)}: {error}", error.misnamed)


READERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "role": ("role", values.one_name),
    "secrets": ("secrets", values.names),
    "certificates": ("certificates", values.names),
    "identity": ("identity", values.boolean),
    "env": ("env", values.env),
    "containers": ("containers", values.items),
    "sidecar": ("sidecar", values.sidecar),
    "on-change": ("on_change", values.on_change),
}
_OPTION_READERS: dict[str, Callable[[str], str]] = {
    "file": values.file_name,
    "format": values.file_format,
    "key": values.key,
    "template": values.template,
    "mode": values.mode,
}


def _options(found: Mapping[str, str]) -> tuple[dict[str, FileOptions], list[Problem]]:
    by_entry: dict[str, dict[str, str]] = {}
    problems = []
    for name in sorted(found):
        option, dot, entry = name.partition(".")
        if not dot or option not in OPTIONS:
            continue
        chosen = by_entry.setdefault(entry, {})
        try:
            chosen[option] = _OPTION_READERS[option](found[name])
        except WrongValueError as error:
            problems.append(_wrong(name, error))
    for entry, chosen in by_entry.items():
        problems += _contradictions(entry, chosen)
    return {entry: FileOptions(**chosen) for entry, chosen in by_entry.items()}, problems


def _contradictions(entry: str, chosen: Mapping[str, str]) -> Iterator[Problem]:
    name = clip(entry, 80)
    if "template" in chosen and ("key" in chosen or "format" in chosen):
        other = "key" if "key" in chosen else "format"
        yield Problem(
            "annotation",
            f"{PREFIX}template.{name}: got {PREFIX}{other}.{name} too, expected one of the two; a template is the whole file",
        )
    elif "key" in chosen and chosen.get("format", "raw") != "raw":
        yield Problem(
            "annotation",
            f"{PREFIX}format.{name}: got {quote(chosen['format'])} with {PREFIX}key.{name}, expected raw or none; one key is written as it is",
        )
