"""Does Postfix ask the milter, and does it wait for its answer? See MILTER_README."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from autocreate.doctor.endpoints import reaches
from autocreate.doctor.findings import Finding, MilterSettings, critical, warning
from autocreate.doctor.postconf import Milter, Postfix, Service, Setting, milters, seconds, words


class _Harm(NamedTuple):
    """What a default action does while the milter is down, and what the administrator does afterwards."""

    why: str
    then: str = ""


_SAME = "non_smtpd_milters = $smtpd_milters"
# In the path of a socket: that it is meant to be ours.
_OUR_NAME = "autocreate"

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
    """Check smtpd_milters, non_smtpd_milters, their settings, and the macros.

    What several services have in common is found once.
    """
    found = (*_smtpd(postfix, ours), *_local(postfix, ours), *_macros(postfix, ours))
    yield from dict.fromkeys(found)


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
            setting = postfix.setting("smtpd_milters", service)
            yield from _settings(postfix, milter, service, setting, ours)


def _is_kept_from_milters(postfix: Postfix, service: Service) -> bool:
    return "no_milters" in words(postfix.get("receive_override_options", service))


def _nobody_asks(postfix: Postfix, services: Sequence[Service], ours: MilterSettings) -> Finding:
    """No smtpd asks the milter: what is written, or that nothing is."""
    for service in services:
        if _is_invisible(postfix, "smtpd_milters", service, ours):
            return _not_asked(postfix, service, ours)
    kept = [it for it in services if _is_kept_from_milters(postfix, it)]
    options = postfix.settings("receive_override_options", kept)
    lists = [] if kept else postfix.settings("smtpd_milters", services)
    return critical(
        "no smtpd of this Postfix asks the milter"
        + "".join(f"; {it.where} has no_milters" for it in options)
        + "".join(f"; {it.where} = {it.value}" for it in lists if it.value),
        "no recipient is verified and no mailbox is created",
        "".join(f"{it.file}: remove no_milters from {it.name}; " for it in options)
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
            _remedy(postfix, [service], ours),
        )
    return warning(
        f"{service.place}: its smtpd_milters do not name the milter's socket {ours.socket}",
        "recipients of mail that arrives there are not verified, and get no mailbox",
        _remedy(postfix, [service], ours),
    )


def _local(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    cleanup = next(iter(postfix.running("cleanup")), None)
    setting = postfix.setting("non_smtpd_milters", cleanup)
    lists = postfix.settings("smtpd_milters", postfix.running("smtpd"))
    if setting.value and setting.value in (it.value for it in lists):
        return  # what is wrong with it was found there
    if milter := _our_milter(postfix, setting.name, cleanup, ours):
        yield from _settings(postfix, milter, cleanup, setting, ours)
    elif cleanup and _is_invisible(postfix, setting.name, cleanup, ours):
        yield warning(
            _not_seen(postfix, cleanup, ours),
            "mail that is submitted on this machine waits until cleanup can connect to the milter",
            _remedy(postfix, [cleanup], ours),
        )
    else:
        yield warning(
            f"{setting.where} do not name the milter's socket",
            "mail that is submitted on this machine creates no mailbox, and bounces for a new user",
            f"main.cf: {_SAME}",
        )


def _settings(
    postfix: Postfix,
    milter: Milter,
    service: Service | None,
    written: Setting,
    ours: MilterSettings,
) -> Iterator[Finding]:
    """Is what a list of milters says about ours, or what Postfix does by default, harmless?"""

    def used(name: str) -> Setting:
        """What counts, as the item of the list has it or else a parameter of the same name."""
        own = milter.settings.get(name)
        return replace(written, value=own) if own else postfix.setting(f"milter_{name}", service)

    def remedy(setting: Setting, name: str, value: str) -> str:
        if setting.name != written.name:
            return f"{setting.file}: {setting.name} = {value}"
        better = Milter(milter.place, {**milter.settings, name: value})
        items = ", ".join(str(better if it == milter else it) for it in milters(written.value))
        also = f"; main.cf: {_SAME}" if written.name == "smtpd_milters" else ""
        return f"{written.file}: {written.name} = {items}{also}"

    action, limit = used("default_action"), used("command_timeout")
    if harm := _HARM.get(action.value.lower()):
        yield critical(
            f"{action.where}: the default action is {action.value}",
            f"while the milter is down, {harm.why}",
            remedy(action, "default_action", "tempfail") + harm.then,
        )
    if seconds(limit.value) <= ours.deadline:
        yield critical(
            f"{limit.where}: command_timeout is {limit.value}, milter.deadline is {ours.deadline:g} s",
            "Postfix does not wait for a slow verdict, and takes the default action",
            remedy(limit, "command_timeout", f"{max(30, ours.deadline + 10):.0f}s"),
        )


def _macros(postfix: Postfix, ours: MilterSettings) -> Iterator[Finding]:
    asking = [it for it in postfix.running("smtpd") if asks_us(postfix, "smtpd_milters", it, ours)]
    for macros in postfix.settings("milter_rcpt_macros", asking):
        if macros.value and "{rcpt_mailer}" not in macros.value:
            yield critical(
                f"{macros.where} lacks {{rcpt_mailer}}",
                "the milter takes all mail for mail that did not come by SMTP, and refuses no recipient",
                f"{macros.file}: remove milter_rcpt_macros; the default contains it",
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
    """What to write so that services ask the milter, where they see its socket. Other milters stay."""
    (written, *_) = postfix.settings("smtpd_milters", services)
    if ours.socket.startswith("fd:"):
        return f"{written.file}: smtpd_milters with the milter's socket"
    place, path = ours.socket, ours.socket.removeprefix("unix:")
    queue = postfix.queue
    asking = (*services, *postfix.running("cleanup"))
    before = ""
    if path.startswith(queue):
        # Without a slash it is a path from the queue directory, in a chroot and outside.
        inside = path.removeprefix(queue)
        place = f"unix:/{inside}" if all(it.is_chrooted for it in asking) else f"unix:{inside}"
    elif path != place and any(it.is_chrooted for it in asking):
        place = "unix:autocreate/milter.sock"
        before = (
            f"install -d -o autocreate -g postfix -m 2750 {queue}autocreate; autocreate.toml: "
            f'milter.socket = "unix:{queue}autocreate/milter.sock"; '
        )
    others = [it for it in milters(written.value) if _OUR_NAME not in it.place]
    items = ", ".join(map(str, (*others, Milter(place, {"default_action": "tempfail"}))))
    also = "" if written.file != "main.cf" else f"; main.cf: {_SAME}"
    return f"{before}{written.file}: smtpd_milters = {items}{also}"
