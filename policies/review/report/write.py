"""Facts as HTML and Markdown. Whatever comes from files is escaped by the environments, not by the templates."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from policies.apply.show import plain
from policies.review.lint import report as lint
from policies.review.report import view
from policies.review.report.facts import Facts
from policies.review.report.matrix import MOST_COLUMNS

# CommonMark 2.4: any ASCII punctuation may stand behind a backslash. Of it, what begins something here, or in GitHub's dialect.
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~&!$@]|(?<=:)//|(?<=www)\.", re.IGNORECASE)
_BREAKS = re.compile(r"(?<=/)(?=\w)|(?<=\.)(?=\w)(?!hcl|json|yaml)")


def html(facts: Facts) -> str:
    style, script = _file("audit.css"), _file("audit.js")
    return _rendered(
        _html(),
        "audit.html",
        facts,
        style=Markup(style),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        style_digest=_digest(style),
        script_digest=_digest(script),
    )


def markdown(facts: Facts) -> str:
    return _rendered(_markdown(), "audit.md", facts)


def _rendered(environment: Environment, template: str, facts: Facts, **more: object) -> str:
    return environment.get_template(template).render(
        facts=facts,
        made=facts.made,
        services=[one.service for one in facts.accesses],
        most_columns=MOST_COLUMNS,
        groups=view.groups(facts.accesses),
        overviews=view.overviews(facts.accesses),
        several_servers=len(view.servers(facts.accesses)) > 1,
        readers=view.readers(facts.accesses),
        powers=view.powers(facts.accesses),
        findings=view.findings(facts.lint),
        severities=lint.severities(facts.lint),
        **more,
    )


@cache
def _html() -> Environment:
    environment = Environment(autoescape=True, finalize=_shown, **_COMMON)
    environment.filters["breaking"] = _breaking
    return environment


@cache
def _markdown() -> Environment:
    return Environment(autoescape=False, finalize=_escaped, **_COMMON)  # noqa: S701 - escaped as Markdown


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


_COMMON: dict[str, Any] = {
    "loader": FunctionLoader(_file),
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
}


def _digest(text: str) -> str:
    """As a Content-Security-Policy names what may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _shown(value: object) -> object:
    """Control characters and those that turn the direction of text could hide what follows them."""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _escaped(value: object) -> object:
    return _MARKDOWN.sub(_behind_backslashes, plain(value)) if isinstance(value, str) else value


def _behind_backslashes(found: re.Match[str]) -> str:
    return "".join(f"\\{sign}" for sign in found[0])


def _breaking(text: str) -> Markup:
    """A long path may go on in the next line behind a slash or a dot."""
    return Markup("<wbr>").join(_BREAKS.split(plain(text)))
