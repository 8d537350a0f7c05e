"""What saslauthd's clients write: four strings, or five, each behind its length. Bytes in, a value out.

Login, password, service and realm, and from newer clients the address of theirs; a length is 16 bits,
big-endian (saslauthd_verify_password() of Cyrus SASL's checkpw.c). The answer is one such string, and
begins with OK or NO.
"""

from autocreate.errors import IncompleteRequest, MalformedRequest
from autocreate.model import Login

# saslauthd itself takes 256 bytes a string; tokens that are used for passwords can be longer.
LONGEST_STRING = 1024
LONGEST_REQUEST = 5 * (2 + LONGEST_STRING)

# saslauthd's clients name services as PAM does.
_SERVICES = {"pop": "pop3"}


class SaslauthdRequest:
    """Somebody's attempt to log in. It holds the password in the one place that it was read into.

    Args:
        raw: the request as it came, which `wipe` overwrites. Clients write it in one piece, so one of
            four strings is complete if nothing follows.

    Raises:
        IncompleteRequest: it is the beginning of a request.
        MalformedRequest: it can never become one; the text says why.
    """

    __slots__ = ("client", "is_wiped", "login", "password", "raw", "realm", "service")

    def __init__(self, raw: memoryview) -> None:
        login, password, service, realm, *rest = _strings(raw)
        self.raw = raw
        self.is_wiped = False
        self.password = password
        if 0 in password:
            raise MalformedRequest("a NUL in the password")
        self.login = _text("login", login)
        self.service = _text("service", service)
        self.realm = _text("realm", realm)
        self.client = _text("client", rest[0]) if rest else ""
        if not self.login:
            raise MalformedRequest("no login")

    @property
    def user(self) -> str:
        """The login name with its realm."""
        return f"{self.login}@{self.realm}" if self.realm else self.login

    @property
    def subject(self) -> Login:
        """Who logs in, if the password is right."""
        return Login(self.login, service_name(self.service), self.realm)

    def wipe(self) -> None:
        """Overwrite the request, the password in it."""
        self.is_wiped = True
        self.raw[:] = bytes(len(self.raw))

    def __repr__(self) -> str:
        return f"SaslauthdRequest({self.user!r}, {self.service!r})"


def answer(text: bytes) -> bytes:
    """An answer for the wire."""
    return len(text).to_bytes(2, "big") + text


def service_name(service: str) -> str:
    """A service in the words of imapd.conf(5), in which PAM's `pop` is `pop3`."""
    lowered = service.lower()
    return _SERVICES.get(lowered, lowered)


def _strings(data: memoryview) -> list[memoryview]:
    """The four or five strings of a request."""
    strings: list[memoryview] = []
    position, most = 0, len(data)
    while position < most:
        start = position + 2
        length = data[position] << 8 | (data[position + 1] if start <= most else 0)
        if length > LONGEST_STRING:
            raise MalformedRequest(f"a string of {length} bytes")
        position = start + length
        strings.append(data[start:position])
    if len(strings) > 5:
        raise MalformedRequest("more than five strings")
    if len(strings) < 4 or position > most:
        raise IncompleteRequest("shorter than its length fields say")
    return strings


def _text(name: str, value: memoryview) -> str:
    try:
        text = str(value, "utf-8")
    except UnicodeDecodeError:
        raise MalformedRequest(f"a {name} that is not UTF-8") from None
    if not text.isprintable():
        raise MalformedRequest(f"control characters in the {name}")
    return text
