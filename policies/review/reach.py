"""Everything that a subject can do, as few patterns, grouped by what it means. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from policies.acl.fillings import Template, meets, templates_of
from policies.acl.language import representatives
from policies.acl.rules import DENY, LISTING, Rule, Rules, merged, ruled
from policies.acl.stanza import FREE
from policies.acl.templates import meaning as meaning_of
from policies.acl.templates import unguarded
from policies.review.meanings import Meaning, meaning

_NEVER = "never filled in, so that nobody has this"


@dataclass(frozen=True, slots=True)
class Reach:
    """`rule` is the one that decides; `limited`: by parameters, wrapping, pages or a control group.

    `filled`: what the server fills in for the templates in its pattern, in words.
    """

    meaning: Meaning
    rule: Rule
    limited: bool
    filled: Mapping[str, str] = field(default_factory=dict)


def reach(rules: Rules) -> list[Reach]:
    """Without the patterns whose absence would change nothing. What takes away from a broader one is among them.

    Those with templates are all there, and all that one of them may come before or behind. Raises TooManyError.
    """
    found = [Reach(meaning(rule), rule, rule.constraints != FREE) for rule in _needed(rules.given({}))]
    found += [
        Reach(meaning(rule), rule, rule.constraints != FREE, filled) for rule, filled in _templated(rules)
    ]
    return sorted(found, key=lambda one: (one.meaning, str(one.rule.pattern)))


def _templated(rules: Rules) -> Iterator[tuple[Rule, Mapping[str, str]]]:
    """By path as it is written."""
    found: dict[str, Rule] = {}
    said: dict[str, dict[str, str]] = {}
    for stanza, blocked in rules.templates:
        template = Template(stanza.path.removeprefix("/"), blocked)
        fresh = ruled(template.path, stanza)
        if fresh:
            known = found.get(template.path)
            found[template.path] = merged(known, fresh, rules.dialect) if known else fresh
            said.setdefault(template.path, {}).update(_filled(template))
    yield from ((rule, said[path]) for path, rule in found.items())


def _filled(template: Template) -> dict[str, str]:
    words = ((selector, meaning_of(selector)) for selector in template.selectors)
    return {
        selector: f"{said}{unguarded(selector, template.blocked)}" if said else _NEVER
        for selector, said in words
    }


def _needed(rules: Rules) -> list[Rule]:
    """One after the other, what the next closest rule would decide alike is left out, so that two never miss each other."""
    asked = list(_candidates(rules))
    left = {id(rule): rule for rule in rules}
    templates = templates_of(rules)
    for rule in rules:
        if not any(meets(template, rule.pattern) for template in templates) and not any(
            _changes(rule, [one for one in found if id(one) in left], listing=listing)
            for found, listing in asked
        ):
            del left[id(rule)]
    return list(left.values())


def _changes(rule: Rule, candidates: list[Rule], *, listing: bool) -> bool:
    """Whether the paths of these candidates would be decided otherwise without the rule."""
    if not candidates or candidates[0] is not rule:
        return False
    return _grant(rule, listing=listing) != _grant(*candidates[1:2], listing=listing)


def _candidates(rules: Rules) -> Iterator[tuple[list[Rule], bool]]:
    for raw in representatives(rule.pattern for rule in rules):
        path = raw.decode("utf-8", "surrogateescape")
        for listing in (False, True):
            yield rules.candidates(path, listing=listing), listing


def _grant(rule: Rule | None = None, *, listing: bool) -> tuple[frozenset[str], object]:
    if rule is None:
        return frozenset(), None
    granted = rule.capabilities - DENY
    granted = granted & LISTING if listing else granted - LISTING
    return granted, rule.constraints if granted else None
