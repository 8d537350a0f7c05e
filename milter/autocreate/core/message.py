"""A message that is written once and filled in for each user: the welcome message.

1. Nothing but header fields and text parts is filled in. Signed parts and attached messages stay as they are.
2. A value can end no header field and no line of one, and no tag of an HTML part.
3. What has no placeholder and is ASCII stays byte for byte, but for the ends of lines and for blanks before a
   header field's value.
"""

import base64
import html
import quopri
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.errors import HeaderParseError, MessageError
from email.header import Header, decode_header, make_header
from email.message import Message
from email.policy import compat32
from email.utils import formataddr, getaddresses

from autocreate.core.placeholders import filled, names_in
from autocreate.errors import MalformedValue

_ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc"})
# What describes the message or belongs to its transport, and what is ours to set.
_NOT_FILLED = re.compile(
    r"content-.*|mime-version|received|return-path|bcc|date|message-id", re.IGNORECASE
)
_OURS = ("Date", "Message-ID")
_LONGEST = 998  # bytes of a line (RFC 5322, 2.1.1)

_ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "base64": base64.encodebytes,
    "quoted-printable": quopri.encodestring,
    "7bit": bytes,
}

# Defects that every mail program reads over.
_HARMLESS = frozenset({"MissingHeaderBodySeparatorDefect"})


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """A message with placeholders.

    Args:
        data: as it was written.
        source: the file it was read from.

    Raises:
        MalformedValue: it is no message that can be delivered. Every problem is told.
    """

    data: bytes = field(repr=False)
    source: str = ""
    names: tuple[str, ...] = field(init=False)
    """The names of its placeholders, in lower case."""

    def __post_init__(self) -> None:
        message = _parsed(self.data)
        if problems := list(_problems(message)):
            raise MalformedValue("; ".join(dict.fromkeys(problems)))
        object.__setattr__(self, "names", tuple(names_in("\n".join(_texts(message)))))

    def filled(self, values: Mapping[str, str]) -> bytes:
        """The message for one user, without Date and Message-ID; lines end in CRLF.

        Args:
            values: by names in lower case. A name that has none leaves nothing.
        """
        message = _parsed(self.data)
        for part in _parts(message):
            _fill_body(part, values)
            _fill_headers(part, values)
        for name in _OURS:
            del message[name]
        if "To" not in message:
            message["To"] = _addresses("{address}", values)
        if "MIME-Version" not in message and "Content-Type" in message:
            message["MIME-Version"] = "1.0"
        return message.as_bytes(policy=compat32.clone(linesep="\r\n", max_line_length=0))


def stamped(message: bytes, message_id: str, date: str) -> bytes:
    """A filled message with its Message-ID and its Date (RFC 5322)."""
    return f"Message-ID: {message_id}\r\nDate: {date}\r\n".encode("ascii") + message


def _parsed(data: bytes) -> Message:
    return message_from_bytes(data, policy=compat32)


def _parts(message: Message) -> Iterator[Message]:
    """The parts that may be filled in, the message itself first."""
    yield message
    kind = message.get_content_type()
    if message.is_multipart() and kind != "multipart/signed" and not kind.startswith("message/"):
        for part in message.get_payload():
            assert isinstance(part, Message)
            yield from _parts(part)


def _texts(message: Message) -> Iterator[str]:
    """Every text in which there may be a placeholder."""
    for part in _parts(message):
        yield from (_decoded(str(value)) for _, value in part.raw_items())
        yield _text(part) or ""


def _problems(message: Message) -> Iterator[str]:
    if not message.keys():
        yield "it has no header fields: begin with From: and Subject:, then an empty line"
        return
    if message.get_unixfrom():
        yield 'its first line is that of a mailbox file ("From ..."); remove it'
    if "From" not in message:
        yield "the header field From is missing"
    for part in message.walk():
        yield from (
            f"it is no valid message: {type(defect).__name__}"
            for defect in part.defects
            if type(defect).__name__ not in _HARMLESS
        )
    for part in _parts(message):
        yield from _unfillable(part)
    if (written := _written(message)) and b"\0" in written:
        yield "it has NUL characters, which Cyrus refuses"


def _unfillable(part: Message) -> Iterator[str]:
    for name, value in part.raw_items():
        try:
            text = _decoded(str(value))
        except (UnicodeError, LookupError, HeaderParseError):
            yield f"the header field {name} is neither UTF-8 nor encoded by RFC 2047"
            continue
        if "\r" in text or "\0" in text:
            yield f"the header field {name} has control characters"
        if names_in(text) and _NOT_FILLED.fullmatch(name):
            yield f"the header field {name} cannot have a placeholder: {text}"
    try:
        text = _text(part) or ""
    except (UnicodeError, LookupError):
        yield f"a text part is not in its character set, {_charset(part)}"
        return
    if "\0" in text:
        yield "it has NUL characters, which Cyrus refuses"


def _written(message: Message) -> bytes:
    """The message as it would be sent, if it can be written at all."""
    try:
        return message.as_bytes()
    except (UnicodeError, LookupError, MessageError):
        return b""


def _decoded(raw: str) -> str:
    """A header field as text: what RFC 2047 encodes decoded, bytes taken for UTF-8, unfolded."""
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", raw)
    text = unfolded.encode("utf-8", "surrogateescape").decode("utf-8")
    return str(make_header(decode_header(text))) if text.isascii() else text


def _charset(part: Message) -> str:
    return str(part.get_content_charset("utf-8"))


def _text(part: Message) -> str | None:
    """The text of a text part; None of any other."""
    if part.is_multipart() or part.get_content_maintype() != "text":
        return None
    charset = _charset(part)
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    # What is called ASCII and has other bytes is UTF-8 nowadays.
    return payload.decode("utf-8" if charset == "us-ascii" else charset)


def _fill_body(part: Message, values: Mapping[str, str]) -> None:
    text = _text(part)
    if text is None or not (names_in(text) or (not text.isascii() and "Content-Type" not in part)):
        return
    is_html = part.get_content_subtype() == "html"
    text = filled(text, values, lambda it: html.escape(_lines(it)) if is_html else _lines(it))
    charset = _charset(part)
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        charset = "utf-8"
    _set_text(part, "\n".join(text.splitlines()) + "\n" * text.endswith("\n"), charset)


def _set_text(part: Message, text: str, charset: str) -> None:
    """Give a part another text, in the transfer encoding that it has if that can carry the text."""
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    data = text.replace("\n", "\r\n" if encoding == "base64" else "\n").encode(charset)
    if encoding != "base64":
        is_plain = data.isascii() and all(len(it) <= _LONGEST for it in data.split(b"\n"))
        encoding = "7bit" if is_plain and encoding != "quoted-printable" else "quoted-printable"
    if charset != part.get_content_charset("us-ascii"):
        if "Content-Type" in part:
            part.set_param("charset", charset)
        else:
            part["Content-Type"] = f'text/plain; charset="{charset}"'
    del part["Content-Transfer-Encoding"]
    part.set_payload(_ENCODERS[encoding](data).decode("ascii"))
    part["Content-Transfer-Encoding"] = encoding


def _fill_headers(part: Message, values: Mapping[str, str]) -> None:
    fields = list(part.raw_items())
    for name in {name for name, _ in fields}:
        del part[name]
    for name, raw in fields:
        value = str(raw)
        text = _decoded(value)
        if value.isascii() and not names_in(text):
            part[name] = value
        elif name.lower() in _ADDRESSES:
            part[name] = _addresses(text, values)
        else:
            part[name] = _encoded(filled(text, values, _one_line), name)


def _addresses(text: str, values: Mapping[str, str]) -> str:
    """A list of addresses, filled in after it is taken apart: a value cannot add one."""
    written = []
    for name, address in getaddresses([text]):
        shown = filled(name, values, _one_line)
        place = _one_word(filled(address, values, _one_line))
        if place.isascii():
            is_plain = shown.isascii() and "=?" not in shown
            written.append(
                formataddr((shown, place)) if is_plain else f"{_encoded(shown, '')} <{place}>"
            )
        else:  # a group without members (RFC 6854): a header field has ASCII only
            written.append(f"{_encoded(shown or place, '')}:;")
    return ",\n ".join(written)


def _encoded(text: str, name: str) -> str:
    # A value that looks encoded would be decoded by its reader.
    charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
    return Header(text, charset, header_name=name, maxlinelen=78).encode()


def _one_line(value: str) -> str:
    return " ".join("".join(it if it.isprintable() else " " for it in value).split())


def _one_word(address: str) -> str:
    """An address that ends nowhere but at its end, its local part quoted where it has to be."""
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = domain, ""
    if re.search(r'[\s()<>\[\]:;,\\"@]', local) and not re.fullmatch(r'"([^"\\]|\\.)*"', local):
        escaped = local.replace("\\", "\\\\").replace('"', '\\"')
        local = f'"{escaped}"'
    return local + at + re.sub(r'[\s()<>:;,\\"@]', "", domain)


def _lines(value: str) -> str:
    """A value without control characters, in as many lines as it has."""
    lines = value.splitlines() or [""]
    return "\n".join("".join(it for it in line if it.isprintable() or it == "\t") for line in lines)
