"""Changes lines of main.cf, master.cf, imapd.conf and cyrus.conf, and leaves all others as they are.

See postconf(5), master(5), imapd.conf(5).
"""

import re
from collections.abc import Mapping

_MARK = "# autocreate-milter:"


def set_parameters(text: str, values: Mapping[str, str], why: Mapping[str, str]) -> str:
    """main.cf with these parameters: where one is set, its last line changes, as it counts; else it is
    appended, below the reason for it.

    Args:
        why: a reason for each parameter, one line.
    """
    lines = text.splitlines(keepends=True)
    for name, value in values.items():
        line = f"{name} = {value}\n"
        if place := _last(lines, name):
            comments = [it for it in lines[place] if it.lstrip().startswith("#")]
            lines[place] = [line, *comments]
        else:
            if lines and not lines[-1].endswith("\n"):
                lines[-1] += "\n"
            lines += [f"{_MARK} {why[name]}\n", line]
    return "".join(lines)


def parameter(text: str, name: str) -> str:
    """The value of a parameter as main.cf has it, unexpanded; "" if it is not set."""
    lines = text.splitlines(keepends=True)
    place = _last(lines, name)
    if place is None:
        return ""
    logical = (it.strip() for it in lines[place] if not it.lstrip().startswith("#"))
    return " ".join(logical).partition("=")[2].strip()


def _last(lines: list[str], name: str) -> slice | None:
    """Where a parameter is set: the last of such lines, with those that continue it."""
    found = None
    for number, line in enumerate(lines):
        if re.match(rf"{re.escape(name)}\s*=", line):
            end = number + 1
            last = end
            # Comments and empty lines do not end a logical line.
            while end < len(lines) and re.match(r"[ \t]+\S|#|\s*$", lines[end]):
                end += 1
                if re.match(r"[ \t]+[^\s#]", lines[end - 1]):
                    last = end
            found = slice(number, last)
    return found


def without_chroot(text: str, name: str, kind: str) -> str:
    """master.cf with `n` in the fifth column of a service."""
    pattern = rf"(?m)^({re.escape(name)}[ \t]+{re.escape(kind)}(?:[ \t]+\S+){{2}}[ \t]+)\S+"
    return re.sub(pattern, r"\g<1>n", text, count=1)


def append_option(text: str, key: str, value: str, why: str) -> str:
    """imapd.conf with an option that it does not have. A commented one is where it belongs.

    Args:
        why: a reason, one line.
    """
    lines = f"{_MARK} {why}\n{key}: {value}\n"
    commented = re.search(rf"(?m)^#[ \t]*{re.escape(key)}:.*\n", text)
    if commented:
        return text[: commented.end()] + lines + text[commented.end() :]
    end = "" if not text or text.endswith("\n") else "\n"
    return text + end + lines


def add_to_option(text: str, key: str, value: str) -> str:
    """imapd.conf with one more word in an option that it has."""
    pattern = rf"(?mi)^({re.escape(key)}:[ \t]*[^\n]*?)[ \t]*$"
    return re.sub(pattern, lambda found: f"{found[1]} {value}", text, count=1)


def insert_macros(text: str, lines: str) -> str:
    """sendmail.mc with lines before its first MAILER, where filters and definitions belong."""
    found = re.search(r"(?m)^[ \t]*MAILER(?:_DEFINITIONS)?\b", text)
    if found:
        return text[: found.start()] + lines + text[found.start() :]
    end = "" if not text or text.endswith("\n") else "\n"
    return text + end + lines
