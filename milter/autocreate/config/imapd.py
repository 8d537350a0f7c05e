"""Cyrus's own files, read for the configuration."""

from typing import Annotated

from pydantic import BeforeValidator, InstanceOf, ValidationInfo

from autocreate.backends.regular_file import read_settings
from autocreate.errors import ConfigurationError
from autocreate.imapdconf import parser as imapd_parser
from autocreate.imapdconf import settings as imapd_settings
from autocreate.imapdconf.services import names_by_kind, read_entries
from autocreate.imapdconf.settings import CyrusFiles, ImapdConf


def read(path: str, cyrus_conf: str | None, lmtp_service: str = "") -> CyrusFiles:
    """Cyrus's files as they are now.

    Args:
        path: its imapd.conf.
        cyrus_conf: its cyrus.conf, if that is to be read.
        lmtp_service: the entry of cyrus.conf that gets the MTA's mail, if the administrator names it.

    Raises:
        OSError: one cannot be read.
        ConfigurationError: Cyrus would not start on imapd.conf.
    """
    entries = read_entries(_text(cyrus_conf)) if cyrus_conf else None
    services = None if entries is None else names_by_kind(entries)
    options = imapd_parser.read(path, _text(path), _text)
    conf = imapd_settings.interpret(path, options, services, lmtp_service)
    return CyrusFiles(conf, options, cyrus_conf or "", entries)


def _text(path: str) -> str:
    # Cyrus reads bytes. Bytes that are not UTF-8 must at least not stop the rest of the file.
    data = read_settings(path)
    return data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")


def _read(path: object, info: ValidationInfo) -> object:
    if not isinstance(path, str):
        raise ValueError("must be the path of imapd.conf")
    cyrus_conf = info.data.get("cyrus_conf")
    try:
        named = info.data.get("lmtp_service", "")
        return read(path, str(cyrus_conf) if cyrus_conf else None, named).conf
    except OSError as error:
        raise ValueError(f"cannot read {error.filename}: {error.strerror}") from error
    except ConfigurationError as error:
        raise ValueError("\n".join(error.problems)) from error


# In the file, the path of an imapd.conf; once the file is read, what that imapd.conf says. The keys `cyrus_conf`
# and `lmtp_service` must come before it.
ImapdConfFile = Annotated[InstanceOf[ImapdConf], BeforeValidator(_read)]
