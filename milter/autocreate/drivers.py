"""The database drivers that this program depends on, for URLs that name none."""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


def parsed(url: str) -> URL:
    """An SQLAlchemy URL, with a driver.

    Raises:
        sqlalchemy.exc.ArgumentError: it is none.
    """
    try:
        found = make_url(url)
    except ValueError:
        raise ArgumentError("its port is no number") from None
    return found.set(drivername=_DRIVERS.get(found.drivername, found.drivername))
