"""`autocreate aliases detect`: what to write into [aliases] for the MTA of this machine."""

import subprocess
from collections.abc import Iterator

from autocreate.aliases import detect as detection
from autocreate.backends.regular_file import read_text
from autocreate.doctor.probe_postfix import read_postfix
from autocreate.doctor.site import MtaPaths
from autocreate.errors import ConfigurationError


def detect(mtas: MtaPaths) -> Iterator[str]:
    """Lines of TOML for the configuration, with comments.

    Raises:
        ConfigurationError: there is no MTA, or its configuration cannot be read.
    """
    found = False
    if (mtas.postfix / "main.cf").exists():
        found = True
        try:
            parameters = read_postfix(mtas.postfix).parameters
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigurationError(str(mtas.postfix), [f"postconf: {error}"]) from error
        tables = detection.from_postfix(parameters, str(mtas.postfix), _read)
        yield from _shown(f"Postfix in {mtas.postfix}", tables)
        if domains := detection.alias_domains(parameters):
            yield f"# milter.domains must have these of virtual_alias_domains: {', '.join(domains)}"
    if mtas.sendmail.exists():
        found = True
        text = _read(str(mtas.sendmail))
        if text is None:
            raise ConfigurationError(str(mtas.sendmail), ["cannot be read"])
        yield from _shown(str(mtas.sendmail), detection.from_sendmail(text, _read))
    if not found:
        raise ConfigurationError(
            str(mtas.postfix),
            [f"no main.cf there, and no {mtas.sendmail}: use --postfix or --sendmail"],
        )


def _shown(where: str, tables: list[detection.Proposal]) -> Iterator[str]:
    yield f"# {where}: {len(tables) or 'no'} table{'s' if len(tables) != 1 else ''} of aliases"
    yield from detection.as_toml(tables)


def _read(path: str) -> str | None:
    try:
        return read_text(path)
    except OSError:
        return None
