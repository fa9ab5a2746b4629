"""What a secret looks like in a file or an environment variable: exact, or refused by name."""

import json
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import File, Variable
from agent.errors import AgentError
from agent.render import MAX_ENV_FILE_BYTES, env_bytes, file_bytes

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True).filter(lambda name: name != "_")


def rendered(values: dict[str, Any], **fields: str) -> str:
    return file_bytes(File("secrets/x", "x", fields.pop("format", "json"), "0440", **fields), values).decode()


def refusal(values: dict[str, Any], **fields: str) -> str:
    with pytest.raises(AgentError) as caught:
        rendered(values, **fields)
    assert caught.value.name == "render"
    return caught.value.line


def test_json_keeps_every_type_and_sorts_keys() -> None:
    values = {"b": "ä", "a": {"n": [1, 2.5, None, True]}}
    assert rendered(values) == '{"a": {"n": [1, 2.5, null, true]}, "b": "ä"}\n'


@given(st.dictionaries(NAMES, TEXT.filter(lambda text: "\r" not in text), max_size=4))
def test_a_shell_reads_dotenv_back_exactly(values: dict[str, str]) -> None:
    content = rendered(values, format="dotenv")
    script = f"{content}\n" + "".join(f'printf "%s\\0" "${name}"\n' for name in sorted(values))
    done = subprocess.run(["/bin/sh"], input=script.encode(), capture_output=True, check=True, env={})
    assert done.stdout.decode() == "".join(f"{values[name]}\0" for name in sorted(values))


def test_dotenv_quotes_plainly_where_it_can() -> None:
    values = {"A": 'plain $x `y` "z"', "B": "it's", "C": "it's $5"}
    assert rendered(values, format="dotenv") == 'A=\'plain $x `y` "z"\'\nB="it\'s"\nC="it\'s \\$5"\n'


def test_dotenv_refuses_a_key_that_is_no_variable_name() -> None:
    assert "key 'a-b' of x is no variable name" in refusal({"a-b": "canary"}, format="dotenv")


def read_properties(content: str) -> dict[str, str]:
    """java.util.Properties.load for one-line entries."""
    found = {}
    for line in content.splitlines():
        text, at, key = "", 0, None
        while at < len(line):
            c = line[at]
            if c == "\\":
                at += 1
                escapes = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
                if line[at] == "u":
                    text += chr(int(line[at + 1 : at + 5], 16))
                    at += 4
                else:
                    text += escapes.get(line[at], line[at])
            elif c == "=" and key is None:
                key, text = text, ""
            elif c == " " and key is not None and not text:
                pass
            else:
                text += c
            at += 1
        found[key or ""] = text
    return {_joined(key): _joined(value) for key, value in found.items()}


def _joined(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


@given(st.dictionaries(TEXT, TEXT, max_size=4))
def test_java_reads_properties_back_exactly(values: dict[str, str]) -> None:
    content = rendered(values, format="properties")
    assert content.isascii()
    assert read_properties(content) == values


def test_numbers_and_booleans_are_written_as_json_writes_them() -> None:
    assert rendered({"A": 5432, "B": True, "C": 1.5}, format="dotenv") == "A='5432'\nB='true'\nC='1.5'\n"


@pytest.mark.parametrize(("value", "kind"), [(None, "null"), ([1], "a list"), ({"a": "canary"}, "an object")])
def test_what_has_no_text_is_refused_by_name(value: object, kind: str) -> None:
    for fields in ({"format": "dotenv"}, {"format": "properties"}, {"key": "k"}, {"template": "{{ k }}"}):
        line = refusal({"k": value}, **fields)
        assert f"key 'k' of x is {kind}" in line
        assert "canary" not in line


def test_raw_is_one_key_with_nothing_added() -> None:
    assert rendered({"k": "a\nb", "l": "c"}, key="k") == "a\nb"
    assert rendered({"k": "only"}, format="raw") == "only"
    assert "x has 2 keys (k, l)" in refusal({"k": "a", "l": "b"}, format="raw")


def test_a_template_substitutes_keys_and_runs_nothing() -> None:
    template = '{"url": {"db": "pg://{{ user }}:{{password}}@db"}}'
    assert rendered({"user": "{{ password }}", "password": "p\\1"}, template=template) == (
        '{"url": {"db": "pg://{{ password }}:p\\1@db"}}'
    )


def test_an_unknown_key_names_the_keys_that_exist_and_no_value() -> None:
    line = refusal({"user": "canary-1", "password": "canary-2"}, template="{{ name }}")
    assert "x has no key 'name'; it has password, user" in line
    assert "canary" not in line


def test_a_template_with_an_open_brace_pair_is_refused() -> None:
    assert "without its }}" in refusal({"a": "1"}, template="{{ a {{ a }}")


def test_half_a_surrogate_pair_is_refused_not_replaced() -> None:
    assert "is not UTF-8" in refusal({"k": "canary\ud800"}, key="k")
    assert "is not UTF-8" in refusal({"k": "canary\ud800"})


def test_a_number_beyond_json_is_refused() -> None:
    assert "number that JSON can't carry" in refusal({"k": json.loads("1e999")})


def env(value: Any, name: str = "NAME") -> bytes:  # noqa: ANN401 - what a secret may hold
    return env_bytes((Variable(name, "x", "k"),), {"x": {"k": value}})


def test_an_environment_line_is_single_quoted_and_exact() -> None:
    assert env('a\nb $x \\ " # é\t') == "NAME='a\nb $x \\ \" # é\t'\n".encode()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is empty"),
        ("can'ary", "holds a single quote"),
        ("can\0ary", "holds a NUL"),
        ("canary\r\n", "holds a carriage return"),
        ("canary\ud800", "is not UTF-8"),
        ("canary" * 11_000, "has a line of 64 KiB or more"),
    ],
)
def test_the_agent_refuses_what_the_kubelet_would_change_or_leak(value: str, problem: str) -> None:
    """A NUL would put the value into the pod's status and events."""
    with pytest.raises(AgentError) as caught:
        env(value)
    assert f"key k of x {problem}" in caught.value.line
    assert "canary" not in caught.value.line
    assert "NAME" in caught.value.line


def test_an_environment_file_longer_than_the_kubelet_reads_is_refused() -> None:
    lines = ("x" * 60_000 + "\n") * 3
    with pytest.raises(AgentError, match="180"):
        env(lines)
    exact = "y\n" * ((MAX_ENV_FILE_BYTES - len("NAME=''\n")) // 2)
    assert len(env(exact)) <= MAX_ENV_FILE_BYTES


def test_a_name_that_would_end_the_line_is_refused() -> None:
    for name in ("", "A=B", "A\nB", "A'"):
        with pytest.raises(AgentError) as caught:
            env("canary", name)
        assert caught.value.name == "config"
