"""What `--help` says: every command has an example, and each example is one that the command takes."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import podkeys


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            yield from commands(inner, (*path, name))


ALL = dict(commands(podkeys.cli))


def texts(name: str) -> str:
    ctx = click.Context(ALL[name], info_name=f"podkeys {name}".strip())
    return ALL[name].get_help(ctx)


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_examples_that_it_takes(name: str) -> None:
    text = texts(name).replace("\\\n", " ")
    lines = re.findall(r"^ {4}(?:.* \| )?podkeys (.*)$", text, re.MULTILINE)
    assert lines
    for line in lines:
        words = shlex.split(line)
        called = max((known for known in ALL if " ".join(words).startswith(known)), key=len)
        options = {option for param in ALL[called].params for option in param.opts}
        assert called.startswith(name)
        assert not isinstance(ALL[called], click.Group)
        assert {word for word in words if word.startswith("-") and word != "-"} <= options


@pytest.mark.parametrize("name", ALL)
def test_every_option_says_what_it_does(name: str) -> None:
    silent = [param.name for param in ALL[name].params if isinstance(param, click.Option) and not param.help]
    assert silent == []


@pytest.mark.parametrize("name", [name for name, command in ALL.items() if isinstance(command, click.Group)])
def test_no_line_of_a_list_of_commands_is_cut(name: str) -> None:
    assert "..." not in texts(name).partition("Commands:")[2]


def test_a_command_that_the_image_leaves_out_says_what_it_needs() -> None:
    """The image has no Kubernetes client."""
    script = (
        "import sys, podkeys; sys.modules['kubernetes'] = None; "
        "sys.argv[1:] = ['cluster', 'check', '--cluster', 'eu-nl-prod-a']; podkeys.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent.parent / "deploy" / "example",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "needs the Python package kubernetes" in done.stderr
