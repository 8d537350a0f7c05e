"""Does Postfix ask the milter, and does it wait for its answer? See MILTER_README."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from autocreate.doctor.endpoints import reaches
from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.postconf import Milter, Postfix, Service, milters, seconds, words


class _Harm(NamedTuple):
    """What a default action does while the milter is down, and what the administrator does afterwards."""

    why: str
    then: str = ""


# `tempfail` and `shutdown` are harmless: with both, clients try again later (451, or 421 and the end of
# the connection), and mail submitted on this machine waits in the maildrop queue. Postfix treats an unknown
# action as a temporary failure. The default depends on its version.
_HARM = {
    "accept": _Harm("all recipients are accepted, unknown ones too, and mail to new users bounces"),
    "reject": _Harm("all mail is refused permanently (5xx), even to existing users"),
    "quarantine": _Harm(
        "all mail is accepted, to unknown recipients too, and held: nobody gets it until it is released",
        "; for held mail, postqueue -p, then postsuper -H QUEUE_ID",
    ),
}


def examine(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    """Check smtpd_milters, non_smtpd_milters, their settings, and the macros."""
    yield from _smtpd(postfix, ours)
    yield from _local(postfix, ours)
    yield from _macros(postfix, ours)


def asks_us(postfix: Postfix, name: str, service: Service | None, ours: MilterSettings) -> bool:
    """Does a list of milters, such as `non_smtpd_milters`, name the milter for a service?"""
    return _our_milter(postfix, name, service, ours) is not None


def _smtpd(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    services = postfix.running("smtpd")
    shown = [it for it in services if not _is_kept_from_milters(postfix, it)]
    asking = [it for it in shown if asks_us(postfix, "smtpd_milters", it, ours)]
    if services and not asking:
        yield _nobody_asks(postfix, services, ours)
        return
    for service in services:
        milter = _our_milter(postfix, "smtpd_milters", service, ours)
        if service not in shown:
            yield warning(
                f"{service.place}: receive_override_options has no_milters",
                "no milter sees mail that arrives there: unknown recipients are accepted",
                "remove no_milters, unless all mail that arrives there was checked before",
            )
        elif milter is None:
            yield _not_asked(postfix, service, ours)
        else:
            yield from _settings(postfix, milter, service, f"{service.place}: smtpd_milters", ours)


def _is_kept_from_milters(postfix: Postfix, service: Service) -> bool:
    return "no_milters" in words(postfix.get("receive_override_options", service))


def _nobody_asks(postfix: Postfix, services: Sequence[Service], ours: MilterSettings) -> Finding:
    """No smtpd asks the milter: what is written, or that nothing is."""
    for service in services:
        if _is_invisible(postfix, "smtpd_milters", service, ours):
            return _not_asked(postfix, service, ours)
    kept = [it for it in services if _is_kept_from_milters(postfix, it)]
    places = ", ".join(postfix.values("receive_override_options", kept))
    return critical(
        "no smtpd of this Postfix asks the milter"
        + (f"; {places}: receive_override_options has no_milters" if kept else ""),
        "no recipient is verified and no mailbox is created",
        (f"{places}: remove no_milters from receive_override_options; " if kept else "")
        + _remedy(postfix, services, ours),
    )


def _is_invisible(postfix: Postfix, name: str, service: Service, ours: MilterSettings) -> bool:
    """Does a list of milters name the socket by a path that its service cannot see in its chroot?"""
    return service.is_chrooted and _names(postfix.get(name, service), ours.socket)


def _not_seen(postfix: Postfix, service: Service, ours: MilterSettings) -> str:
    queue = postfix.get("queue_directory")
    return (
        f"{service.place}: {service.command} is chrooted to {queue} and cannot see the milter's socket "
        f"{ours.socket}"
    )


def _not_asked(postfix: Postfix, service: Service, ours: MilterSettings) -> Finding:
    if _is_invisible(postfix, "smtpd_milters", service, ours):
        return critical(
            _not_seen(postfix, service, ours),
            "it cannot connect to the milter, and by default defers (451) all mail",
            f"{_remedy(postfix, [service], ours)}, and the same in non_smtpd_milters",
        )
    return warning(
        f"{service.place}: its smtpd_milters do not name the milter's socket {ours.socket}",
        "recipients of mail that arrives there are not verified, and get no mailbox",
        f"{_remedy(postfix, [service], ours)}, or -o for that service",
    )


def _local(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    cleanup = next(iter(postfix.running("cleanup")), None)
    milter = _our_milter(postfix, "non_smtpd_milters", cleanup, ours)
    if milter is None and cleanup and _is_invisible(postfix, "non_smtpd_milters", cleanup, ours):
        yield warning(
            _not_seen(postfix, cleanup, ours),
            "mail that is submitted on this machine waits until cleanup can connect to the milter",
            f"{_remedy(postfix, [cleanup], ours)}, and the same in non_smtpd_milters",
        )
    elif milter is None:
        yield warning(
            "main.cf: non_smtpd_milters do not name the milter's socket",
            "mail that is submitted on this machine creates no mailbox, and bounces for a new user",
            "main.cf: non_smtpd_milters = $smtpd_milters",
        )
    else:
        yield from _settings(postfix, milter, cleanup, "main.cf: non_smtpd_milters", ours)


def _settings(
    postfix: Postfix, milter: Milter, service: Service | None, where: str, ours: MilterSettings
) -> Iterator[Finding]:
    action = milter.settings.get("default_action") or postfix.get("milter_default_action", service)
    if harm := _HARM.get(action.lower()):
        yield critical(
            f"{where}: the default action is {action}",
            f"while the milter is down, {harm.why}",
            f"main.cf: default_action=tempfail within the braces of the milter{harm.then}",
        )
    limit = milter.settings.get("command_timeout") or postfix.get("milter_command_timeout", service)
    if seconds(limit) <= ours.deadline:
        yield critical(
            f"{where}: command_timeout is {limit}, milter.deadline is {ours.deadline:g} s",
            "Postfix does not wait for a slow verdict, and takes the default action",
            "main.cf: command_timeout=30s within the braces, or a shorter milter.deadline",
        )


def _macros(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    asking = [it for it in postfix.running("smtpd") if asks_us(postfix, "smtpd_milters", it, ours)]
    for place, macros in postfix.values("milter_rcpt_macros", asking).items():
        if macros and "{rcpt_mailer}" not in macros:
            yield critical(
                f"{place}: milter_rcpt_macros lacks {{rcpt_mailer}}",
                "the milter takes all mail for mail that did not come by SMTP, and refuses no recipient",
                f"{place}: remove milter_rcpt_macros; the default contains it",
            )


def _our_milter(
    postfix: Postfix, name: str, service: Service | None, ours: MilterSettings
) -> Milter | None:
    """Our milter in a list, if the service can reach its socket."""
    for milter in milters(postfix.get(name, service)):
        kind, _, path = milter.place.partition(":")
        is_path = kind in ("unix", "local")
        place = f"unix:{postfix.socket_path(service, path)}" if is_path else milter.place
        if reaches(place, ours.socket) or ours.socket.startswith("fd:"):
            return milter
    return None


def _names(value: str, socket: str) -> bool:
    places = (milter.place.replace("local:", "unix:", 1) for milter in milters(value))
    return any(reaches(place, socket) for place in places)


def _remedy(postfix: Postfix, services: Sequence[Service], ours: MilterSettings) -> str:
    """What to write so that services ask the milter, where they see its socket."""
    if ours.socket.startswith("fd:"):
        return "main.cf: smtpd_milters with the milter's socket"
    place, path = ours.socket, ours.socket.removeprefix("unix:")
    queue = f"{postfix.get('queue_directory').rstrip('/')}/"
    before = ""
    if path.startswith(queue):
        # Without a slash it is a path from the queue directory, in a chroot and outside.
        inside = path.removeprefix(queue)
        place = f"unix:/{inside}" if all(it.is_chrooted for it in services) else f"unix:{inside}"
    elif path != place and any(it.is_chrooted for it in services):
        place = "unix:autocreate/milter.sock"
        before = (
            f"install -d -o autocreate -g postfix -m 2750 {queue}autocreate; autocreate.toml: "
            f'milter.socket = "unix:{queue}autocreate/milter.sock"; '
        )
    return f"{before}main.cf: smtpd_milters = {{ {place}, default_action=tempfail }}"
