"""A directory that answers a few values of an attribute at a time, as Active Directory does with 1,500.

It knows as much of LDAP (RFC 4511) as a look-up needs: a simple bind, and searches for one entry by its name or by
a value, whose case it ignores.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyasn1.codec.ber import decoder, encoder
from pyasn1.error import SubstrateUnderrunError
from pyasn1_modules import rfc2251

from .common import HOST
from .scripted import ScriptedServer


class RangedDirectory(ScriptedServer):
    """An LDAP server.

    Args:
        entries: the attributes of each by its name.
        most: how many values of an attribute are answered at once.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, Sequence[str]]], most: int = 3) -> None:
        super().__init__()
        self.entries = entries
        self.most = most
        # What it answers in place of the range that begins at a value.
        self.instead: dict[int, str] = {}

    @property
    def url(self) -> str:
        return f"ldap://{HOST}:{self.port}"

    def serve(self, client: socket.socket) -> None:
        for request in _requests(client):
            for name, response in self._answers(request["protocolOp"]):
                message = rfc2251.LDAPMessage()
                message["messageID"] = request["messageID"]
                message["protocolOp"][name] = response
                client.sendall(encoder.encode(message))

    def _answers(self, request: Any) -> Iterator[tuple[str, Any]]:
        match request.getName():
            case "bindRequest":
                yield "bindResponse", _done(rfc2251.BindResponse())
            case "searchRequest":
                search = request.getComponent()
                asked = [str(it) for it in search["attributes"]]
                for dn in self._found(search):
                    yield "searchResEntry", self._entry(dn, asked)
                yield "searchResDone", _done(rfc2251.SearchResultDone())

    def _found(self, search: Any) -> list[str]:
        base, condition = str(search["baseObject"]).lower(), search["filter"]
        if str(search["scope"]) == "baseObject":
            return [dn for dn in self.entries if dn.lower() == base]
        compared = condition["equalityMatch"]
        attribute, value = str(compared["attributeDesc"]), bytes(compared["assertionValue"])
        wanted = value.decode().lower()
        return [
            dn
            for dn, values in self.entries.items()
            if dn.lower().endswith(base) and wanted in map(str.lower, values.get(attribute, ()))
        ]

    def _entry(self, dn: str, asked: Sequence[str]) -> Any:
        entry = rfc2251.SearchResultEntry()
        entry["objectName"] = dn
        for description in asked:
            name, _, option = description.partition(";range=")
            first = int(option.partition("-")[0] or 0)
            known = {it.lower(): values for it, values in self.entries[dn].items()}
            values = known.get(name.lower(), ())
            part = values[first : first + self.most]
            if len(part) < len(values):
                last = "*" if first + self.most >= len(values) else str(first + self.most - 1)
                name += f";range={self.instead.get(first, f'{first}-{last}')}"
            _add(entry["attributes"], name, part)
        return entry


def _requests(client: socket.socket) -> Iterator[Any]:
    received = b""
    while data := client.recv(65536):
        received += data
        with contextlib.suppress(SubstrateUnderrunError):
            while received:
                request, received = decoder.decode(received, asn1Spec=rfc2251.LDAPMessage())
                yield request


def _done(response: Any) -> Any:
    response["resultCode"], response["matchedDN"], response["errorMessage"] = 0, "", ""
    return response


def _add(attributes: Any, description: str, values: Sequence[str]) -> None:
    attributes[len(attributes)]["type"] = description
    attribute = attributes[len(attributes) - 1]
    for number, value in enumerate(values):
        attribute["vals"][number] = value.encode()
