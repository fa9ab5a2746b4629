"""Annotations alone: what each may say, and how a mistake in it is told."""

import pytest

from agent.config import OnChange
from webhook.annotations import PREFIX, FileOptions, ours, parse
from webhook.outcome import refuse
from webhook.values import EnvEntry, Names


def messages(annotations: dict[str, str]) -> str:
    """All problems, a line each."""
    return "\n".join(
        refuse([problem]).message for problem in parse({"inject": "true", "secrets": "all", **annotations})[1]
    )


def test_everything_that_can_be_asked_is_read() -> None:
    request, problems = parse(
        {
            "inject": "true",
            "role": "payments",
            "secrets": " stripe , smtp\n",
            "certificates": "all",
            "identity": "true",
            "env": "B=smtp.user.name, A=smtp.password\n",
            "containers": "app",
            "sidecar": "true",
            "on-change": "http:8080/-/reload",
            "file.stripe": "stripe.env",
            "format.stripe": "dotenv",
            "key.smtp": "password",
            "mode.smtp": "400",
        }
    )
    assert problems == []
    assert (request.role, request.identity, request.sidecar) == ("payments", True, "true")
    assert request.secrets == Names(("stripe", "smtp"))
    assert request.certificates == Names(everything=True)
    assert request.env == (EnvEntry("A", "smtp", "password"), EnvEntry("B", "smtp", "user.name"))
    assert request.on_change == OnChange(8080, "-/reload")
    assert request.options == {
        "stripe": FileOptions(file="stripe.env", format="dotenv"),
        "smtp": FileOptions(key="password", mode="0400"),
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("inject", "True", 'got "True", expected "true" or "false"'),
        ("inject", "", 'got "", expected "true" or "false"'),
        ("inject", "yes", 'got "yes"'),
        ("inject", "true ", 'got "true "'),
        ("secrets", "", "expected at least one name"),
        ("secrets", " ,\n, ", "expected at least one name"),
        ("secrets", "a,b,a", 'got "a" twice'),
        ("secrets", "all,stripe", "expected either all or names"),
        ("secrets", ",".join(f"s{n}" for n in range(201)), "got 201 entries, expected at most 200"),
        ("role", "", "expected one name"),
        ("role", "a,b", "expected one name"),
        ("identity", "1", 'got "1", expected "true" or "false"'),
        ("sidecar", "Auto", 'got "Auto", expected "auto", "true" or "false"'),
        ("env", "X", "expected NAME=entry.key"),
        ("env", "X=smtp", "expected NAME=entry.key"),
        ("env", "X=.password", "expected NAME=entry.key"),
        ("env", "X=smtp.", "expected NAME=entry.key"),
        ("env", "=smtp.password", "got the variable"),
        ("env", "1X=smtp.password", "no digit first"),
        ("env", "X-Y=smtp.password", "letters, digits and _"),
        ("env", "Ü=smtp.password", "letters, digits and _"),
        ("env", "X=smtp.a,X=smtp.b", "got the variable X twice"),
        ("env", "X=smtp." + "k" * 254, "at most 253 characters"),
        ("containers", "", "expected at least one name"),
        ("on-change", "restart", "this release does not have"),
        ("on-change", "http:0/", "such as http:8080/-/reload"),
        ("on-change", "http:65536/", "such as http:8080/-/reload"),
        ("on-change", "http://evil.example.com/", "expected"),
        ("on-change", "http:80", "expected"),
        ("on-change", "http:80/a b", "expected"),
        ("on-change", "http:٨٠/", "expected"),
        ("file.stripe", "", "expected a file name"),
        ("file.stripe", "..", "expected a file name"),
        ("file.stripe", "../x", "expected a file name"),
        ("file.stripe", "/etc/passwd", "expected a file name"),
        ("file.stripe", "a/b", "expected a file name"),
        ("file.stripe", ".hidden", "no dot first"),
        ("file.stripe", "..data", "no dot first"),
        ("file.stripe", "a\n", "expected a file name"),
        ("file.stripe", "a\0b", "expected a file name"),
        ("file.stripe", "é", "expected a file name"),
        ("file.stripe", "a" * 101, "at most 100 characters"),
        ("format.stripe", "yaml", "expected one of json, dotenv, properties, raw"),
        ("format.stripe", "JSON", "did you mean json?"),
        ("key.stripe", "", "expected the name of one key"),
        ("key.stripe", "a\nb", "expected the name of one key"),
        ("template.stripe", "", "expected 1 to 32768 bytes"),
        ("template.stripe", "é" * 16385, "got 32770 bytes"),
        ("template.stripe", "{{ a }} {{ b", "got a {{ without a key"),
        ("template.stripe", "{{ {a} }}", "got a {{ without a key"),
        ("template.stripe", "{{ }}", "got a {{ without a key"),
        ("template.stripe", "password=${password}", "got no {{ key }}"),
        ("mode.stripe", "0999", "expected an octal mode"),
        ("mode.stripe", "4755", "expected an octal mode"),
        ("mode.stripe", "0777", "lets nobody else write and nobody execute"),
        ("mode.stripe", "0660", "lets nobody else write"),
        ("mode.stripe", "0500", "nobody execute"),
        ("mode.stripe", "0", "expected an octal mode"),
        ("mode.stripe", "0040", "that its owner can read"),
        ("mode.stripe", "rw-r--r--", "expected an octal mode"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(name: str, value: str, said: str) -> None:
    told = messages({name: value})
    assert f"{PREFIX}{name}: " in told
    assert said in told
    assert len(told) < 300


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({"secert": "a"}, "podkeys.dev/secert: unknown annotation; did you mean podkeys.dev/secrets?"),
        ({"Secrets": "a"}, "did you mean podkeys.dev/secrets?"),
        ({"vault-address": "https://evil.example.com"}, "unknown annotation; expected one of"),
        ({"image": "evil"}, "unknown annotation"),
        ({"patch": "[]"}, "unknown annotation"),
        ({"fiel.stripe": "a"}, "unknown annotation"),
        ({"file": "a"}, "unknown annotation"),
        ({"": "a"}, "podkeys.dev/: unknown annotation"),
        (
            {"Podkeys.dev/inject": "true"},
            "Podkeys.dev/inject: unknown annotation; the prefix is podkeys.dev/",
        ),
        ({"key.a": "k", "format.a": "json"}, "expected raw or none"),
        ({"key.a": "k", "template.a": "{{ k }}"}, "expected one of the two"),
        ({"format.a": "json", "template.a": "{{ k }}"}, "expected one of the two"),
    ],
)
def test_what_is_unknown_or_contradicts_itself_is_told(annotations: dict[str, str], said: str) -> None:
    assert said in messages(annotations)


def test_a_name_is_told_short_and_without_what_changes_a_terminal() -> None:
    """The webhook is asked before the API server looks whether a name may be one."""
    told = messages({"file.\x1b[2J": "a/b", f"mode.{'x' * 5000}": "0777"})
    assert r"podkeys.dev/file.\x1b[2J: got" in told
    assert told.replace("\n", "").isprintable()
    assert len(told) < 500


def test_inject_that_asks_for_nothing_is_told() -> None:
    for annotations in ({}, {"identity": "false"}, {"role": "payments", "sidecar": "true"}):
        _, problems = parse({"inject": "true", **annotations})
        assert [problem.reason for problem in problems] == ["nothing-asked"]


def test_asking_without_inject_is_told() -> None:
    """A pod that names secrets and forgets inject would run without them."""
    (problem,) = parse({"secrets": "stripe"})[1]
    assert 'add podkeys.dev/inject: "true", or remove podkeys.dev/secrets' in problem.message


def test_a_misspelt_prefix_is_told_by_its_own_name() -> None:
    told = parse({"Podkeys.dev/inject": "true"})[1]
    assert "or remove Podkeys.dev/inject" in told[-1].message


def test_on_change_none_is_the_default() -> None:
    request, problems = parse({"inject": "true", "secrets": "all", "on-change": "none"})
    assert (request.on_change, problems) == (None, [])


def test_one_key_may_say_that_it_is_raw() -> None:
    assert messages({"key.a": "k", "format.a": "raw"}) == ""
    assert messages({"format.a": "raw"}) == ""


def test_only_our_prefix_is_ours_in_any_spelling() -> None:
    found = ours({"podkeys.dev/inject": "true", "PODKEYS.dev/inject": "x", "example.com/podkeys.dev/a": "b"})
    assert found == {"inject": "true", "PODKEYS.dev/inject": "x"}


def test_problems_come_in_the_same_order_whatever_the_order_of_annotations() -> None:
    given = {"inject": "True", "mode.a": "9", "zzz": "", "aaa": "", "secrets": "", "file.b": "/"}
    assert parse(given)[1] == parse(dict(reversed(given.items())))[1]
