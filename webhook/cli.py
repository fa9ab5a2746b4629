"""The click group `podkeys webhook`; each command's module is imported when it is called."""

import importlib

import click

COMMANDS = {
    "inject": ("webhook.inject", "Show what the webhook would do with a pod, offline"),
    "serve": ("webhook.serve", "Answer the API server's admission reviews"),
}


class LazyCommands(click.Group):
    """`inject` shouldn't pay for Flask and gunicorn."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(COMMANDS.items())])


@click.group(cls=LazyCommands)
def group() -> None:
    """Serve the admission webhook, or try its decision offline.

    \b
    Example:
      podkeys webhook inject -f pod.yaml --diff --catalog generated/eu-nl-prod-a/catalog --cluster generated/eu-nl-prod-a/cluster.json
    """  # noqa: D301 - click reads the character
