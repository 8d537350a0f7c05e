"""One login, as pam_exec(8) tells of it in the environment. Its process ends with success, always."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from autocreate import logs
from autocreate.errors import AutocreateError
from autocreate.model import Answer, Login
from autocreate.passwords.request import service_name
from autocreate.service.service import Service

log = logging.getLogger(__name__)

# What PAM does on the way in. The others are the way out and the change of a password.
_WAYS_IN = ("auth", "account", "open_session")


def look_after(environment: Mapping[str, str], build: Callable[[], Service]) -> NoReturn:
    """Make the mailbox of PAM_USER within the time that logins wait. Never returns.

    Work that takes longer ends with this process. The journal has it, for whatever runs as `login`,
    `milter` or `run` to complete.

    Args:
        environment: with PAM_USER, PAM_SERVICE and PAM_TYPE.
        build: makes the service.
    """
    try:
        if environment.get("PAM_TYPE") in _WAYS_IN:
            _look_after(environment, build)
        elif "PAM_TYPE" not in environment:
            print("autocreate: there is no PAM_TYPE here: pam_exec(8) sets it", file=sys.stderr)
    except AutocreateError as error:
        for line in str(error).splitlines():
            print(f"autocreate: {line}", file=sys.stderr)
    except Exception:
        log.exception("a defect of this program, at a login by PAM")
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)  # whatever other threads are still about


def _look_after(environment: Mapping[str, str], build: Callable[[], Service]) -> None:
    begun = time.monotonic()
    login = Login(environment.get("PAM_USER", ""), service_name(environment.get("PAM_SERVICE", "")))
    service = build()
    verdict = service.log_in(login)
    if verdict.answer is Answer.TEMPORARY:
        service.schedule_retry(login)
    logs.login(login, verdict, (time.monotonic() - begun) * 1000, by="pam")
