"""The metrics for Prometheus, over HTTP. They are counted elsewhere, and read when they are scraped.

The registry is this front end's own. Its one collector reads counts that live as long as the process,
so a reload neither loses nor doubles anything.
"""

import logging
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import MetricsHandler
from prometheus_client.registry import Collector

from autocreate.frontends.acceptor import Acceptor, in_a_thread
from autocreate.frontends.gate import ServiceGate
from autocreate.frontends.hooks import STATS
from autocreate.frontends.listener import Listener
from autocreate.model import Answer
from autocreate.statistics.tally import BOUNDS, Histogram, Tally

# A scrape takes milliseconds. Everybody who can connect shares these, and mail must not notice.
_MOST = 8  # at once
_TIMEOUT = 5.0  # seconds for a request and its answer

log = logging.getLogger(__name__)


class Metrics:
    """Serves the metrics on a listening socket."""

    def __init__(self, listener: Listener) -> None:
        self._acceptor = Acceptor("metrics port", listener, _MOST, seconds=_TIMEOUT)

    def serve(self, gate: ServiceGate, failed: Callable[[BaseException], None]) -> None:
        """See `FrontEnd.serve`. Mail does not depend on metrics, so `failed` is not called."""
        ours = CollectorRegistry()
        ours.register(_ServiceCollector(gate))
        ProcessCollector(registry=ours)
        handler: Callable[..., object] = type(
            "Handler", (MetricsHandler.factory(ours),), {"timeout": _TIMEOUT}
        )

        def handle(connection: socket.socket) -> None:
            try:
                handler(connection, "", None)
            except ValueError as error:  # urllib.parse's, of what is no URL
                raise ConnectionAbortedError(f"not a request: {error}") from error
            connection.shutdown(socket.SHUT_WR)

        self._acceptor.start(
            in_a_thread(handle),
            lambda error: log.error("metrics are not served any more: %r", error),
        )

    def stop(self) -> None:
        """See `FrontEnd.stop`."""
        self._acceptor.stop()


class _ServiceCollector(Collector):
    def __init__(self, gate: ServiceGate) -> None:
        self._gate = gate

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the service."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "autocreate", "What runs here.", {"version": version("autocreate-milter")}
        )
        yield from _decided(self._gate.statistics.totals())
        if watch := self._gate.figures().get("watch"):
            yield from _watch(watch)
        with self._gate.enter() as service:
            if service is not None:
                stats = service.stats()
                yield from _costs("account", "source", stats["sources"], "an account source")
                yield from _hits(stats["sources"])
                if stats["domains"]:
                    tables = stats["domains"]["tables"]
                    yield from _costs("domain", "table", tables, "a table of domains")
                if stats["aliases"]:
                    tables = stats["aliases"]["tables"]
                    yield from _costs("alias", "table", tables, "a table of aliases")
                yield from _cyrus(stats["cyrus"])
                if stats["lmtp"]:
                    yield from _lmtp(stats["lmtp"])
                if stats["limits"]:
                    yield from _limits(stats["limits"])
                yield from _caches(stats)
                yield from _journal(stats["unfinished"])
                if stats["turns"]:
                    yield from _turns(stats["turns"])
                if stats["news"]:
                    yield from _news(stats["news"])
                yield from _hooks(self._gate.statistics.stats(STATS).snapshot(), stats["hooks"])


def _decided(totals: Tally) -> Iterator[Metric]:
    recipients = CounterMetricFamily(
        "autocreate_recipients",
        "Verdicts about recipients and logins, by answer.",
        labels=["frontend", "answer"],
    )
    # Prometheus sees no increase from nothing to one: every answer of a front end begins with 0.
    frontends = {kind.frontend for kind in totals.kinds}
    answers = Counter({(frontend, it.value): 0 for frontend in frontends for it in Answer})
    for kind, count in totals.kinds.items():
        answers[kind.frontend, kind.answer] += count
    for labels, count in sorted(answers.items()):
        recipients.add_metric(labels, count)
    yield recipients

    seconds = HistogramMetricFamily(
        "autocreate_verdict_seconds",
        'Time until the verdict; "created" is an accepted recipient whose mailbox was created.',
        labels=["frontend", "outcome"],
    )
    for labels, times in sorted(totals.times.items(), key=lambda it: it[0]):
        seconds.add_metric(labels, _buckets(times), times.sum / 1000)
    yield seconds

    created = CounterMetricFamily(
        "autocreate_mailboxes_created", "Mailboxes that were created.", labels=["policy"]
    )
    policies: Counter[str] = Counter()
    for (policy, _), count in totals.created.items():
        policies[policy] += count
    for policy, count in sorted(policies.items()):
        created.add_metric([policy], count)
    yield created


def _buckets(times: Histogram) -> list[tuple[str, float]]:
    passed = 0
    buckets = []
    for bound, count in zip((*BOUNDS, float("inf")), times.counts, strict=True):
        passed += count
        buckets.append(("+Inf" if bound == float("inf") else f"{bound / 1000:g}", float(passed)))
    return buckets


def _costs(
    what: str, label: str, parts: Mapping[str, Mapping[str, Any]], text: str
) -> Iterator[Metric]:
    for key, name, said in (
        ("lookups", "lookups", f"Lookups in {text}."),
        ("errors", "errors", f"Failed lookups in {text}."),
        ("seconds", "lookup_seconds", f"Time spent on lookups in {text}."),
    ):
        family = CounterMetricFamily(f"autocreate_{what}_{name}", said, labels=[label])
        for part, stats in parts.items():
            family.add_metric([part], stats[key])
        yield family
    states: dict[tuple[str, ...], Any] = {(it,): stats["state"] for it, stats in parts.items()}
    yield _up(f"autocreate_{what}_up", text, states, label)


def _up(
    name: str, text: str, states: Mapping[tuple[str, ...], Mapping[str, Any]], *labels: str
) -> Metric:
    """Whether servers answered. One that was not asked yet has no sample.

    Args:
        states: `Health.snapshot` of each, by the values of the labels.
    """
    said = f"1 if {text} answered when it was last asked, 0 if that failed."
    family = GaugeMetricFamily(name, said, labels=labels)
    for values, state in states.items():
        if state["up"] is not None:
            family.add_metric(values, float(state["up"]))
    return family


def _hits(sources: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "autocreate_account_cache_hits",
        "Lookups in an account source that its cache answered.",
        labels=["source"],
    )
    for source, stats in sources.items():
        family.add_metric([source], stats["hits"])
    yield family


def _lmtp(stats: Mapping[str, Any]) -> Iterator[Metric]:
    for key, name, said in (
        ("lookups", "lookups", "Recipients that lmtpd was asked about."),
        ("errors", "errors", "Recipients that lmtpd gave no answer about; they are accepted."),
        ("seconds", "lookup_seconds", "Time spent on asking lmtpd."),
        ("hits", "cache_hits", "Recipients that the cache before lmtpd answered."),
    ):
        yield CounterMetricFamily(f"autocreate_lmtp_{name}", said, stats[key])
    connections = GaugeMetricFamily(
        "autocreate_lmtp_connections", "Connections to lmtpd that are open.", labels=["state"]
    )
    for state in ("busy", "idle"):
        connections.add_metric([state], stats["connections"][state])
    yield connections
    yield _up("autocreate_lmtp_up", "lmtpd", {(): stats["state"]})


def _cyrus(stats: Mapping[str, Any]) -> Iterator[Metric]:
    yield _up("autocreate_cyrus_up", "Cyrus", {(): stats["state"]})
    connections = GaugeMetricFamily(
        "autocreate_cyrus_connections", "Administrator sessions that are open.", labels=["state"]
    )
    for state in ("busy", "idle"):
        connections.add_metric([state], stats[state])
    yield connections
    yield GaugeMetricFamily(
        "autocreate_cyrus_connections_limit",
        "Administrator sessions that may be open.",
        stats["size"],
    )
    if murder := stats.get("murder"):
        yield from _murder(murder)


def _murder(murder: Mapping[str, Any]) -> Iterator[Metric]:
    """The other servers of a Murder, as far as they were asked."""
    servers = {"mupdate": murder["mupdate"], **murder["backends"]}
    states: dict[tuple[str, ...], Mapping[str, Any]] = {
        (name,): server["state"] for name, server in servers.items()
    }
    yield _up("autocreate_murder_up", "a server of the Murder", states, "server")
    if stream := murder["stream"]:
        yield GaugeMetricFamily(
            "autocreate_murder_in_step",
            "1 while the changes that the MUPDATE master tells of are followed.",
            int(stream["state"]["up"] is True),
        )


def _limits(limits: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "autocreate_creations_deferred",
        "Mailboxes that were not created because of a limit.",
        labels=["limit"],
    )
    for limit, stats in limits.items():
        family.add_metric([limit], stats["deferred"])
    yield family


def _watch(stats: Mapping[str, Any]) -> Iterator[Metric]:
    for key, name, said in (
        ("leads", "leads", "1 if this process watches the accounts, 0 if another one does."),
        ("last_round", "last_round_timestamp_seconds", "When the last round ended."),
    ):
        yield GaugeMetricFamily(f"autocreate_watch_{name}", said, float(stats[key]))
    yield GaugeMetricFamily(
        "autocreate_watch_stopped",
        "1 if the watch has stopped because of watch.at_most.",
        float(stats["stopped"] is not None),
    )
    for key, said in (
        ("rounds", "How often the accounts were looked at."),
        ("created", "Mailboxes that the watch has created."),
    ):
        yield CounterMetricFamily(f"autocreate_watch_{key}", said, stats[key])
    up = GaugeMetricFamily(
        "autocreate_watch_source_up",
        "1 if the source answered when it was last asked for new accounts.",
        labels=["source"],
    )
    for source, it in stats["sources"].items():
        up.add_metric([source], float(not it["error"]))
    yield up


def _caches(stats: Mapping[str, Any]) -> Iterator[Metric]:
    entries = GaugeMetricFamily(
        "autocreate_cache_entries", "Entries in each cache.", labels=["cache", "kind"]
    )
    limits = GaugeMetricFamily(
        "autocreate_cache_limit", "Most entries of each kind in a cache.", labels=["cache"]
    )
    entries.add_metric(["ready", "users"], stats["ready"]["users"])
    limits.add_metric(["ready"], stats["ready"]["size"])
    if stats["domains"]:
        domains = stats["domains"]["remembered"]
        for kind in ("hosted", "other"):
            entries.add_metric(["domains", kind], domains[kind]["domains"])
        limits.add_metric(["domains"], domains["size"])
    if stats["aliases"]:
        aliases = stats["aliases"]["remembered"]
        entries.add_metric(["aliases", "addresses"], aliases["addresses"])
        limits.add_metric(["aliases"], aliases["size"])
    if stats["lmtp"]:
        lmtp = stats["lmtp"]["remembered"]
        entries.add_metric(["lmtp", "users"], lmtp["users"])
        limits.add_metric(["lmtp"], lmtp["size"])
    for source, it in stats["sources"].items():
        for kind in ("found", "unknown", "error"):
            entries.add_metric([f"accounts.{source}", kind], it["remembered"][kind]["users"])
        limits.add_metric([f"accounts.{source}"], it["remembered"]["size"])
    yield entries
    yield limits


def _journal(unfinished: int | None) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "autocreate_journal_up", "1 if the journal can be read.", int(unfinished is not None)
    )
    if unfinished is not None:
        yield GaugeMetricFamily(
            "autocreate_unfinished_trees", "Mailbox trees that are unfinished.", unfinished
        )


def _turns(stats: Mapping[str, float]) -> Iterator[Metric]:
    for key, said in (
        ("taken", "Turns at a user, of all MTAs that share the journal."),
        ("waited", "Turns that began after another process had its own."),
    ):
        yield CounterMetricFamily(f"autocreate_turns_{key}", said, stats[key])
    yield CounterMetricFamily(
        "autocreate_turns_wait_seconds", "Time spent on waiting for turns.", stats["wait_ms"] / 1000
    )
    without = CounterMetricFamily(
        "autocreate_turns_without_lock",
        "Work that was done without a lock: it took too long, or the database gave none.",
        labels=["reason"],
    )
    without.add_metric(["slow"], stats["missed"])
    without.add_metric(["failed"], stats["failed"])
    yield without


def _news(stats: Mapping[str, Any]) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "autocreate_messages_up",
        "1 if messages of other MTAs are heard.",
        float(stats["state"]["up"] is True),
    )
    for key, said in (
        ("sent", "Messages sent to other MTAs."),
        ("received", "Messages of other MTAs."),
        ("dropped", "Messages that were not sent, because too many waited."),
        ("malformed", "Messages that are not of this program."),
    ):
        yield CounterMetricFamily(f"autocreate_messages_{key}", said, stats[key])


def _hooks(stats: Mapping[str, Any], waiting: int | None) -> Iterator[Metric]:
    for key, name, said in (
        ("lookups", "runs", "Hooks (on_created) that were run."),
        ("errors", "failures", "Hooks that failed, and are run again."),
        ("seconds", "run_seconds", "Time that hooks took."),
    ):
        yield CounterMetricFamily(f"autocreate_hook_{name}", said, stats[key])
    if waiting is not None:
        yield GaugeMetricFamily("autocreate_hooks_waiting", "Hooks that are still to run.", waiting)
