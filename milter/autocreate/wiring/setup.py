"""`autocreate config init`: looks, proposes, writes and applies, in this order."""

import contextlib
from pathlib import Path

from autocreate.backends.password_file import first_line
from autocreate.config import load
from autocreate.config.sections import Config
from autocreate.doctor.probe_cyrus_files import choose
from autocreate.doctor.site import CyrusPaths, MtaPaths
from autocreate.doctor.source_report import NOBODY
from autocreate.domains.syntax import ANY_DOMAIN
from autocreate.errors import ConfigurationError, MalformedValue, NotLetIn, Refused, Temporary
from autocreate.mailstore.cyrus import Cyrus
from autocreate.setup import files, propose
from autocreate.setup.applying import Applier, Tell, is_ready
from autocreate.setup.look import look
from autocreate.setup.propose import Questions
from autocreate.setup.text import as_lines
from autocreate.setup.values import Answers, Connection, Proposal, Seen, Step
from autocreate.wiring.mailstore import server_of


class Setup:
    """A first configuration, step by step.

    Args:
        output: the configuration file.
        tell: prints a line.
    """

    def __init__(self, output: Path, tell: Tell) -> None:
        self._output = output
        self._tell = tell
        self._record = files.Record(output.with_name(f"{output.name}.undo"))
        self._seen = Seen()

    @property
    def secret_file(self) -> Path:
        """The file for the password of Cyrus's administrator."""
        return self._output.parent / "cyrus.secret"

    def undo(self) -> None:
        """See `Applier.undo`."""
        Applier(self._record, self._tell).undo()

    def look(self, mtas: MtaPaths, paths: CyrusPaths) -> None:
        """See `autocreate.setup.look`. The other methods count on what was seen."""
        self._seen = look(mtas, choose(paths, CyrusPaths(), "localhost"))

    def is_to_write(self, given: Answers, replaces: bool, applies: bool) -> bool:
        """Is autocreate.toml to be written?

        Raises:
            ConfigurationError: there is another one.
        """
        path = self._output
        if not path.exists():
            return True
        proposed = propose.propose(self._seen, given).toml
        if proposed == path.read_text():
            self._tell(f"{path} is as proposed")
            return False
        if replaces:
            return True
        if applies:
            self._tell(f"{path} exists and is left alone; the MTA is connected as it says")
            return False
        raise ConfigurationError(
            str(path),
            [
                "exists and is left alone: --apply connects the MTA as it says, --replace writes it anew "
                "and keeps a copy, --output FILE writes another file"
            ],
        )

    def questions(self) -> Questions:
        """What to ask."""
        return propose.questions(self._seen)

    def propose(self, answers: Answers) -> Proposal:
        """The file to write.

        Raises:
            ConfigurationError: something is not known.
        """
        if problems := propose.unknown(self._seen, answers):
            raise ConfigurationError("config init", problems)
        return propose.propose(self._seen, answers)

    def has_secret(self) -> bool:
        """Is there a password already?"""
        try:
            return bool(first_line(self.secret_file))
        except MalformedValue:
            return False

    def write(self, proposal: Proposal, password: str) -> None:
        """Write autocreate.toml and the secrets, each whole or not at all. Secrets that exist stay.

        Args:
            password: of Cyrus's administrator; "" if its file exists.

        Raises:
            ConfigurationError: the file that was written has mistakes.
        """
        if password:
            self.write_password(password)
        for path, secret in proposal.secrets.items():
            if Path(path).exists():
                self._tell(f"kept {path}")
            else:
                files.write_private(Path(path), f"{secret}\n", 0o600)
                self._tell(f"wrote {path}: a password from Postfix's files")
        if self._output.exists():
            self._tell(f"kept a copy: {files.keep_copy(self._output)}")
            self._tell("if the milter runs, reload it: systemctl reload autocreate-milter")
        files.write_private(self._output, proposal.toml, 0o644)
        self._tell(f"wrote {self._output}: a dry run")
        load(self._output)
        for remark in proposal.remarks:
            self._tell(f"note: {remark}")

    def write_password(self, password: str) -> None:
        """Write the password of Cyrus's administrator, which nobody else may read."""
        files.write_private(self.secret_file, f"{password}\n", 0o600)
        self._tell(f"wrote {self.secret_file}")

    def log_in(self) -> bool:
        """Does Cyrus take the administrator's password? If it cannot be asked, that is told, and counts."""
        with contextlib.closing(Cyrus(server_of(load(self._output)), 1)) as store:
            try:
                store.exists(NOBODY)
            except NotLetIn as error:
                self._tell(f"Cyrus does not take this name and password: {error}")
                return False
            except (Temporary, Refused) as error:
                self._tell(f"note: Cyrus could not be asked: {error}")
        return True

    def show(self) -> None:
        """Print the steps that are not done."""
        steps = self._steps()
        lines = list(as_lines(steps))
        if lines:
            self._tell("")
            self._tell("In this order (--apply does it, --undo takes it back):")
        for line in lines or ["The MTA and Cyrus are as they should be."]:
            self._tell(line)

    def apply(self) -> None:
        """See `Applier.apply`."""
        place = load(self._output).milter.socket
        Applier(self._record, self._tell).apply(self._steps(), place)

    def _steps(self) -> list[Step]:
        connection = propose.connection_of(self._seen, _settings(load(self._output)))
        steps = propose.steps(self._seen, connection)
        return [it for it in steps if not it.starts_milter or not is_ready(it, connection.socket)]


def _settings(config: Config) -> Connection:
    domains = tuple(it for it in config.milter.domains if it != ANY_DOMAIN)
    lmtp = config.lmtp.address if config.lmtp else ""
    return Connection(config.milter.socket, domains, config.cyrus.admin, lmtp)
