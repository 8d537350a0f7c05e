"""Passwords that PAM knows: pam_authenticate(3) and pam_acct_mgmt(3), through ctypes.

No library for it is worth a dependency: it is five functions of libpam. A module that asks for
anything but the password and the name gets no answer, and the login fails.
"""

import ctypes
import re
from typing import Any

from autocreate.errors import Temporary
from autocreate.passwords import NO, OK
from autocreate.passwords.request import SaslauthdRequest
from autocreate.resilience.time_limit import TimeLimit

# <security/_pam_types.h>
_SUCCESS, _BUF_ERR, _CONV_ERR = 0, 5, 19
_PROMPT_ECHO_OFF, _PROMPT_ECHO_ON = 1, 2
_NEED_NO_ANSWER = (3, 4)  # ERROR_MSG, TEXT_INFO
_RHOST = 4
_SILENT = 0x8000

# How many ask at once: as many as log in, unless `login.requests` was raised. The rest wait in a queue.
_AT_ONCE = 200

# The codes for a user who may not log in with this password: PERM_DENIED, AUTH_ERR,
# CRED_INSUFFICIENT, USER_UNKNOWN, MAXTRIES, NEW_AUTHTOK_REQD, ACCT_EXPIRED, CRED_EXPIRED and
# AUTHTOK_EXPIRED. Everything else is a fault of PAM's or of its configuration.
_A_NO = frozenset((6, 7, 8, 10, 11, 12, 13, 16, 27))


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_Conversation = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_void_p,
)


class _Conv(ctypes.Structure):
    _fields_ = (("function", _Conversation), ("data", ctypes.c_void_p))


_libc = ctypes.CDLL(None)
_libc.calloc.restype = ctypes.c_void_p
_libc.calloc.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
_libc.free.argtypes = (ctypes.c_void_p,)


class Pam:
    """PAM on this machine.

    Args:
        service: the file of /etc/pam.d that says how, or None for the one that is named as the
            client's service: imap, pop, sieve.
        timeout: seconds for its answer. PAM itself knows no limit.
    """

    def __init__(self, service: str | None, timeout: float) -> None:
        self._service = service
        self._limit = TimeLimit("PAM", _AT_ONCE, timeout)
        try:
            self._pam = ctypes.CDLL("libpam.so.0")
        except OSError as error:
            raise Temporary(f"PAM cannot be used: {error}") from error
        self._pam.pam_strerror.restype = ctypes.c_char_p
        for function in ("pam_strerror", "pam_authenticate", "pam_acct_mgmt", "pam_end"):
            getattr(self._pam, function).argtypes = (ctypes.c_void_p, ctypes.c_int)
        self._pam.pam_set_item.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)

    def check(self, attempt: SaslauthdRequest) -> bytes:
        """See `PasswordChecker.check`."""
        service = self._service or attempt.service
        if not re.fullmatch(r"[A-Za-z0-9_-]+", service):
            raise Temporary(f"{service!r} is not a valid name of a PAM service")
        if not attempt.password:
            return NO + b" empty password"
        return self._limit.run(lambda: self._checked(service, attempt))

    def _checked(self, service: str, attempt: SaslauthdRequest) -> bytes:
        handle = ctypes.c_void_p()
        # Kept in a name, because PAM calls it until pam_end.
        conversation = _Conversation(_answers(attempt))
        error = self._pam.pam_start(
            service.encode(),
            attempt.user.encode(),
            ctypes.byref(_Conv(conversation)),
            ctypes.byref(handle),
        )
        if error != _SUCCESS:
            raise Temporary(f"PAM cannot be used for {service!r}: {self._text(handle, error)}")
        try:
            error = self._ask(handle, attempt.client)
            if error == _SUCCESS:
                return OK
            text = self._text(handle, error)
        finally:
            self._pam.pam_end(handle, error)
        if error in _A_NO:
            return NO + b" " + text.encode()
        raise Temporary(f"PAM service {service!r} could not check the password: {text}")

    def _ask(self, handle: ctypes.c_void_p, client: str) -> int:
        if client:
            self._pam.pam_set_item(handle, _RHOST, client.encode())
        error: int = self._pam.pam_authenticate(handle, _SILENT)
        if error == _SUCCESS:
            error = self._pam.pam_acct_mgmt(handle, _SILENT)
        return error

    def _text(self, handle: ctypes.c_void_p, error: int) -> str:
        return str(self._pam.pam_strerror(handle, error), "utf-8", "replace")


def _answers(attempt: SaslauthdRequest) -> Any:
    """The conversation function of pam_conv(3): it answers with the password and the name."""

    def converse(count: int, messages: Any, responses: Any, _data: Any) -> int:
        if attempt.is_wiped:  # nobody waits for the answer any more
            return _CONV_ERR
        array = _libc.calloc(count, ctypes.sizeof(_Response))
        if not array:
            return _BUF_ERR
        filled = (_Response * count).from_address(array)
        for position in range(count):
            style = messages[position].contents.style
            if style == _PROMPT_ECHO_OFF:
                filled[position].text = _copy(attempt.password)
            elif style == _PROMPT_ECHO_ON:
                filled[position].text = _copy(bytearray(attempt.user.encode()))
            elif style not in _NEED_NO_ANSWER:
                _give_up(array, filled)
                return _CONV_ERR
        responses[0] = array
        return _SUCCESS

    return converse


def _copy(text: memoryview | bytearray) -> int | None:
    """A C string for PAM, which overwrites and frees it."""
    place: int | None = _libc.calloc(len(text) + 1, 1)
    if place:
        ctypes.memmove(place, (ctypes.c_char * len(text)).from_buffer(text), len(text))
    return place


def _give_up(array: int, filled: Any) -> None:
    for response in filled:
        _libc.free(response.text)
    _libc.free(array)
