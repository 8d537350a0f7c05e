"""What single commands work with: explain, report, sieve."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from autocreate.admin.explain import Explainer, Site
from autocreate.admin.written import Written
from autocreate.config.sections import Config
from autocreate.mailstore.sieve.files import Compiler
from autocreate.wiring.policies import policies_of
from autocreate.wiring.service import build_components
from autocreate.wiring.sources import domain_table, source_of
from autocreate.wiring.users import users_of


@contextmanager
def open_explainer(path: Path, config: Config) -> Iterator[Explainer]:
    """What explains decisions, until the context ends.

    Args:
        path: the file that the configuration was read from.
    """
    written = Written(path, config)
    components = build_components(config)
    with closing(components.service), ExitStack() as opened:
        site = Site(
            [opened.enter_context(closing(source_of(name, config))) for name in config.accounts],
            policies_of(config),
            components.store,
            users_of(config).default_domain,
            written.policy,
            written.place,
            [
                opened.enter_context(closing(domain_table(name, settings)))
                for name, settings in config.domains.items()
            ],
        )
        yield Explainer(components.service, site, written.settings())


def compiler_of(config: Config) -> Compiler:
    """Cyrus's compiler of Sieve scripts."""
    imapd = config.cyrus.imapd_conf
    return Compiler(imapd.path if imapd else None)
