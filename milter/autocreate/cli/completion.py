"""The command that prints a shell's completion script: click's, with its defects mended."""

import click

# What to replace in click's scripts: click 8.1 to 8.5.
_MENDED = {
    # It would end each description at its first comma.
    "fish": [('string split ","', 'string split --max 1 ","')],
    # Loaded by compinit, the file is the function's body from the second time on. It would then not complete,
    # but register itself again.
    "zsh": [
        (
            "[[ $zsh_eval_context[-1] == loadautofunc ]]",
            "[[ $zsh_eval_context[-1] == loadautofunc || $funcstack[1] == _autocreate ]]",
        )
    ],
}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    For bash and zsh: eval "$(autocreate completion bash)". For fish: autocreate completion fish | source
    """
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None  # Choice admits only the shells that click knows
    command = context.find_root().command
    source = script(command, {}, "autocreate", "_AUTOCREATE_COMPLETE").source()
    for defect, remedy in _MENDED.get(shell, ()):
        source = source.replace(defect, remedy)
    click.echo(source)
