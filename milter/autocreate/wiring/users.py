"""How addresses and logins become user ids."""

from autocreate.config.sections import Config
from autocreate.core.naming import Users


def users_of(config: Config) -> Users:
    """The rules for user ids, by the configuration."""
    return Users(
        virtual_domains=config.cyrus.virtdomains != "off",
        default_domain=config.cyrus.defaultdomain,
        to_lower=config.cyrus.lmtp_downcase_rcpt,
        logins_to_lower=config.cyrus.username_tolower,
        post_user=config.cyrus.postuser,
    )
