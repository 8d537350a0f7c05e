"""One login, described by pam_exec(8) in the environment. The process always exits with 0."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from autocreate import logs
from autocreate.core.printable import printable
from autocreate.errors import AutocreateError
from autocreate.model import Answer, Login
from autocreate.passwords.request import service_name
from autocreate.service.service import Service

log = logging.getLogger(__name__)

# The types of a login. The others are a logout and a change of password.
_LOGIN_TYPES = ("auth", "account", "open_session")


def look_after(environment: Mapping[str, str], build: Callable[[], Service]) -> NoReturn:
    """Create the mailbox of PAM_USER within `login.deadline`. Never returns.

    Work that takes longer ends with this process. The journal has it, and a process that runs as
    `login`, `milter` or `run` completes it.

    Args:
        environment: with PAM_USER, PAM_SERVICE and PAM_TYPE.
        build: makes the service.
    """
    try:
        if environment.get("PAM_TYPE") in _LOGIN_TYPES:
            _look_after(environment, build)
        elif "PAM_TYPE" not in environment:
            print("autocreate: PAM_TYPE is not set; pam_exec(8) sets it", file=sys.stderr)
    except AutocreateError as error:
        for line in str(error).splitlines():
            print(f"autocreate: {printable(line)}", file=sys.stderr)
    except Exception:
        log.exception("a defect of this program, at a login by PAM")
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)  # whatever other threads are still running


def _look_after(environment: Mapping[str, str], build: Callable[[], Service]) -> None:
    begun = time.monotonic()
    login = Login(environment.get("PAM_USER", ""), service_name(environment.get("PAM_SERVICE", "")))
    service = build()
    verdict = service.log_in(login)
    if verdict.answer is Answer.TEMPORARY:
        service.schedule_retry(login)
    logs.login(login, verdict, (time.monotonic() - begun) * 1000, by="pam")
