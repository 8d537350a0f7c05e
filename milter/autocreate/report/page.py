"""The report as one HTML page, without scripts and without anything loaded from elsewhere."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files

from autocreate.model import Answer
from autocreate.report.chart import Column, Series, Tick, bar, number, stacked
from autocreate.report.gather import OUTCOMES, Report
from autocreate.report.time_axis import ticks
from autocreate.report.words import (
    WORDS,
    kind_of_slots,
    milliseconds,
    name_of,
    notes,
    period,
    quantiles,
    times_of,
)
from autocreate.statistics.tally import BOUNDS, Histogram

_SERIES = [Series(WORDS[it], it) for it in OUTCOMES]

_MOST = 12  # rows of a list
_SHORT = 20  # characters that fit on a line wherever they are
_MOST_TICKS = 7  # of the plot of times, on a narrow screen


def page(found: Report, host: str) -> str:
    """The whole page. Text that a client chose is escaped.

    Args:
        host: the name of the machine that makes it.
    """
    style = files("autocreate.report").joinpath("report.css").read_text(encoding="utf-8")
    said = notes(found)
    notice = f'<p class="note">{" ".join(said)}</p>' if said else ""
    cards = (
        "".join(_cards(found))
        if not found.is_empty
        else _card("No statistics for this period", _none())
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>autocreate: report</title>
<style>{style}</style></head><body><main>
<header><h1>Recipients and their mailboxes</h1>
<p>{escape(period(found))}, made on {_breakable(host)}</p>{notice}</header>
<div class="tiles">{"".join(_tiles(found))}</div>
<div class="cards">{cards}</div>
<footer>Made by <code>autocreate report</code>. This page loads nothing from the network.</footer>
</main></body></html>
"""


def _tiles(found: Report) -> Iterator[str]:
    outcomes = found.outcomes
    times = Histogram()
    for it in found.total.times.values():
        times.merge(it)
    yield _count(sum(outcomes.values()), "recipients and logins", "recipient or login")
    yield _count(sum(found.total.created.values()), "mailboxes created", "mailbox created")
    yield _count(outcomes["unknown"], "unknown (550)")
    yield _count(outcomes["temporary"], "deferred (451)")
    yield _tile(
        milliseconds(times.quantile(0.95)) if times.total else "-", "95th percentile of time"
    )
    yield _count(found.unfinished, "unfinished trees now", "unfinished tree now")


def _count(value: int, words: str, one: str = "") -> str:
    """A tile with a rounded number, and the exact one beside its words."""
    label = one if one and value == 1 else words
    rounded, exact = number(value), f"{value:,}"
    return _tile(rounded, label if rounded == exact else f"{exact} {label}")


def _tile(value: str, label: str) -> str:
    return f'<div class="tile"><b>{value}</b><span>{label}</span></div>'


def _cards(found: Report) -> Iterator[str]:
    total = found.total
    shown = [it for it in _SERIES if found.outcomes[it.css]]
    answered = [it for it in shown if it.css != "temporary"]
    if answered:
        title = "Recipients over time"
        yield _card(title, _over_time(found, answered, title, 260), wide=True)
    # An outage of some minutes is nothing beside the mail of a day.
    if deferred := [it for it in shown if it.css == "temporary"]:
        title = "Deferred (451) over time"
        yield _card(title, _over_time(found, deferred, title, 150), wide=True)
    yield _card("Verdicts and reasons", _reasons(found), wide=True)
    measured = {outcome for outcome, _ in times_of(found)}
    timed = [it for it in _SERIES if it.css in measured]
    yield _card("Time until the verdict", _times(found, timed), wide=True)
    created = _trees(total.created.most_common(_MOST))
    is_dry = bool(found.dry_run.answers or found.dry_run.cells)
    yield _card("Mailboxes created", created, wide=not is_dry)
    if is_dry:
        yield _card("Dry run", _dry_run(found))
    yield _card("Most frequent unknown recipients", _names(total.unknown.most(_MOST)))
    yield _card("Clients that sent to them most", _names(total.clients.most(_MOST)))


def _over_time(found: Report, shown: Sequence[Series], title: str, height: int) -> str:
    columns = [
        Column(name_of(slot), tick, [slot.outcomes[it.css] for it in shown])
        for slot, tick in zip(found.slots, ticks(found.slots), strict=True)
    ]
    highest = max(columns, key=lambda it: sum(it.values))
    said = f"Each column is {kind_of_slots(found)}. The highest is {sum(highest.values):,}: {highest.name}."
    legend = _legend(shown, {it.css: found.outcomes[it.css] for it in shown})
    return f'{legend}{stacked(title, shown, columns, height)}<p class="note">{escape(said)}</p>'


def _times(found: Report, shown: Sequence[Series]) -> str:
    counts = {it.css: [0] * (len(BOUNDS) + 1) for it in shown}
    for (_, outcome), times in found.total.times.items():
        counts[outcome] = [sum(pair) for pair in zip(counts[outcome], times.counts, strict=True)]
    names = [*(milliseconds(it) for it in BOUNDS), "more"]
    below = [*(_short(it) for it in BOUNDS), "more"]
    used = [place for place in range(len(names)) if any(it[place] for it in counts.values())]
    places = range(used[0], used[-1] + 1) if used else range(0)
    columns = [
        Column(
            f"up to {names[place]}",
            Tick(below[place], is_minor=bool(number % -(-len(places) // _MOST_TICKS))),
            [counts[it.css][place] for it in shown],
        )
        for number, place in enumerate(places)
    ]
    plot = _legend(shown) + stacked("How long verdicts took", shown, columns, 220)
    rows = [
        f'<tr><td class="k">{WORDS[it]}</td><td class="n">{median}</td><td class="n">{most}</td>'
        f'<td class="n">{nearly}</td></tr>'
        for it, _, median, most, nearly in quantiles(found)
    ]
    heads = ("", "median", "95 %", "99 %")
    head = "".join(f'<th class="{"n" if it else "k"}">{it}</th>' for it in heads)
    return (
        f'<div class="split"><div>{plot}<p class="note">Verdicts by the time they took, up to the '
        f"value below the column, in milliseconds unless a unit is given.</p></div>"
        f'<table class="times"><tr>{head}</tr>{"".join(rows)}</table></div>'
    )


def _short(bound: float) -> str:
    return f"{bound / 1000:g}s" if bound >= 1000 else f"{bound:g}"


def _reasons(found: Report) -> str:
    most = max((count for *_, count in found.reasons), default=1)
    rows = [
        _row(
            count,
            bar(f"{count:,}", _outcome(answer, reason), count / most),
            WORDS[_outcome(answer, reason)],
            reason or "not ours",
        )
        for answer, reason, count in found.reasons[:_MOST]
    ]
    return _table(rows, ("", "", "verdict", "reason"))


def _outcome(answer: str, reason: str) -> str:
    """The outcome that a reason is part of: each has one colour, in all plots and lists."""
    is_created = (answer, reason) == (Answer.ACCEPT.value, "created")
    return "created" if is_created else answer


def _trees(counts: Sequence[tuple[tuple[str, str], int]]) -> str:
    most = max((count for _, count in counts), default=1)
    rows = [
        _row(count, bar(f"{count:,}", "created", count / most), policy, domain)
        for (policy, domain), count in counts
    ]
    return _table(rows, ("", "", "policy", "domain"))


def _names(names: Sequence[tuple[str, int]]) -> str:
    most = max((count for _, count in names), default=1)
    rows = [_row(count, bar(f"{count:,}", "unknown", count / most), name) for name, count in names]
    return _table(rows)


def _dry_run(found: Report) -> str:
    counts = found.dry_run.cells.most_common()
    cells = [
        _row(
            count,
            bar(f"{count:,}", answer, count / counts[0][1]),
            f"MTA: {'refused' if is_refused else 'accepted'}",
            f"milter: {WORDS[answer]}",
        )
        for (is_refused, answer), count in counts
    ]
    answers = found.dry_run.answers.most_common()
    rows = [
        _row(count, bar(f"{count:,}", answer, count / answers[0][1]), WORDS[answer])
        for answer, count in answers
    ]
    trees = _trees(found.dry_run.trees.most_common(_MOST))
    return (
        '<p class="note">What the MTA did, and what we would say:</p>'
        f"{_table(cells)}"
        f'<p class="note">Answers, distinct recipients:</p>{_table(rows)}'
        f'<p class="note">Mailboxes that would be created:</p>{trees}'
    )


def _row(count: int, drawn: str, *words: str) -> str:
    cells = "".join(f"<td>{_breakable(word)}</td>" for word in words)
    return f'<tr><td class="n">{count:,}</td><td class="b">{drawn}</td>{cells}</tr>'


def _breakable(text: str) -> str:
    """Text as HTML, in which a line may end within a long address or host name, between its parts."""
    if len(text) <= _SHORT:
        return escape(text)
    return re.sub(r"(?<=\w)([@.:]+)(?=\w)", r"\1<wbr>", escape(text))


def _table(rows: Sequence[str], heads: Iterable[str] = ()) -> str:
    if not rows:
        return _none()
    classes = ('class="n"', 'class="b"', 'class="k"', "")
    cells = "".join(f"<th {css}>{head}</th>" for css, head in zip(classes, heads, strict=False))
    head = f"<tr>{cells}</tr>" if cells else ""
    return f"<table>{head}{''.join(rows)}</table>"


def _legend(shown: Sequence[Series], totals: Mapping[str, int] | None = None) -> str:
    """The colours, each with its name, and with its exact total if there are totals."""
    items = "".join(
        f'<li><svg viewBox="0 0 10 10"><rect class="{it.css}" width="10" height="10" rx="2"/></svg>'
        f"{it.name}{f' <b>{totals[it.css]:,}</b>' if totals else ''}</li>"
        for it in shown
    )
    return f'<ul class="legend">{items}</ul>'


def _card(title: str, inner: str, wide: bool = False) -> str:
    return f"<section{' class=wide' if wide else ''}><h2>{title}</h2>{inner}</section>"


def _none() -> str:
    return '<p class="none">None.</p>'
