"""A group of commands whose `--help` lists each with its whole first sentence."""

import click

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
