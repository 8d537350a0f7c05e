"""The lines of sendmail.mc that connect a Sendmail with the milter and Cyrus."""

import re

from autocreate.doctor.endpoints import reaches
from autocreate.setup import edit
from autocreate.setup.values import Change, Connection, Seen, SeenSendmail, Step

_REBUILD = ("make -C /etc/mail", "systemctl restart sendmail")


def domains(sendmail: SeenSendmail) -> tuple[str, ...]:
    """The names in class w that are domains of others than this machine."""
    words = " ".join(re.findall(r"(?m)^C\s*w\s*(.*)$", sendmail.cf.text)).split()
    found = (it.lower() for it in words if "." in it and not it.startswith(("[", "localhost")))
    return tuple(dict.fromkeys(found))


def step(seen: Seen, connection: Connection) -> Step | None:
    """What to change in sendmail.mc; None without a Sendmail."""
    sendmail = seen.sendmail
    if sendmail is None:
        return None
    before = sendmail.mc.text if sendmail.mc else ""
    text = before
    if not _asks_us(sendmail.cf.text, connection.socket):
        path = connection.socket.removeprefix("unix:")
        line = (
            f"INPUT_MAIL_FILTER(`autocreate', `S=local:{path}, F=T, T=C:30s;S:10s;R:10s;E:1m')dnl\n"
        )
        if line not in text:
            text = edit.insert_macros(text, line)
    if "cyrusv2" not in sendmail.cf.text and connection.lmtp and "cyrusv2" not in text:
        kind, _, place = connection.lmtp.partition(":")
        where = f"FILE {place}" if kind == "unix" else "TCP {} {}".format(*_host(place))
        text = edit.insert_macros(
            text,
            "define(`confLOCAL_MAILER', `cyrusv2')dnl\n"
            f"define(`CYRUSV2_MAILER_ARGS', `{where}')dnl\n",
        )
        text += "" if not text or text.endswith("\n") else "\n"
        text += "MAILER(`cyrusv2')dnl\n"
    if text == before:
        return Step("Sendmail")
    path = sendmail.mc.path if sendmail.mc else f"{sendmail.cf.path.removesuffix('.cf')}.mc"
    return Step(
        "Sendmail asks the milter, and delivers to Cyrus",
        (Change(path, before, text, ("the lines of contrib/sendmail/autocreate.mc",)),),
        after=_REBUILD,
        undo=_REBUILD,
        needs_milter=True,
    )


def _asks_us(text: str, socket: str) -> bool:
    places = re.findall(r"(?m)^X\w+,.*?\bS=(?:local:|unix:)?([^,\s]+)", text)
    return any(reaches(f"unix:{it}", socket) for it in places)


def _host(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port
