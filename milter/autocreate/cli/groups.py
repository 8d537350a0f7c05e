"""A group of commands whose `--help` and completion show each with its whole first sentence."""

import click
from click.shell_completion import CompletionItem

_LONGEST = 200  # characters of a first sentence; click would cut it at the end of the line


class Group(click.Group):
    """A group of commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        commands = ((it, self.get_command(ctx, it)) for it in self.list_commands(ctx))
        rows = [
            (name, command.get_short_help_str(_LONGEST))
            for name, command in commands
            if command and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What a shell offers for the beginning of a word."""
        items = super().shell_complete(ctx, incomplete)
        for item in items:
            if command := self.get_command(ctx, item.value):
                item.help = command.get_short_help_str(_LONGEST)
        return items
