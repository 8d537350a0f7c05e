"""The command that creates mailboxes as accounts appear."""

import sys
from pathlib import Path

import click

from autocreate.cli.interruption import interruptible
from autocreate.cli.options import config_option, json_option
from autocreate.cli.outcomes import show_checksum, show_run, show_summary
from autocreate.cli.serve import dry_run_option, serve


@click.command()
@click.option(
    "--plan", is_flag=True, help="Show what the watch would do now, and a checksum of it."
)
@click.option(
    "--resume", metavar="CHECKSUM", default="", help="Carry out the plans shown with this checksum."
)
@config_option
@dry_run_option
@json_option
def watch(plan: bool, resume: str, config_path: Path, dry_run: bool, as_json: bool) -> None:
    """Create mailboxes when accounts appear, before any mail or login. Runs in the foreground.

    Account sources are asked regularly for what is new: see [watch] in autocreate.toml(5). What appeared
    while this was not running is caught up with. Signals are handled as by `milter`. If several processes
    share a journal, one of them watches. `autocreate run` can do this, too.

    If too many new mailboxes are wanted at once (watch.at_most), none is created and the watch stops. Then
    --plan shows a plan for each user, and a checksum of all plans. Repeat the command with --resume and
    this checksum to carry out exactly these plans, and to let the watch go on; if anything has changed
    since, nothing is done. With milter.mode = "dry-run" nothing is carried out.

    Exit status of --plan and --resume: 0 success; 65 the plans have changed; 75 something failed and can
    be retried; 78 the configuration is wrong; 130 interrupted.
    """
    if not (plan or resume):
        serve(config_path, dry_run, "watch")

    from contextlib import closing

    from autocreate import logs
    from autocreate.config import load
    from autocreate.watch.review import Review
    from autocreate.wiring.watch import required, watched_of

    config = load(config_path)
    logs.configure(config.log.format, "error")
    with (
        closing(watched_of(config, required(config), dry_run)) as watched,
        closing(Review(watched)) as review,
    ):
        with interruptible("nothing was changed; run the same command again"):
            compared = review.compare()
            show_run("compare", compared, as_json, only_problems=bool(resume))
        applied = review.apply(resume) if resume else None
        if applied:
            with interruptible("run the command with --plan to see what is left to do"):
                show_run("create", applied, as_json)
            review.conclude()
        elif not resume:
            show_checksum(review.checksum, as_json)
        sys.exit(show_summary(applied or compared))
