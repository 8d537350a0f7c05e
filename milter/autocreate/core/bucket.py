"""A rate limit as a token bucket, counted from its other end: what was spent, which comes back with time.

So a limit can be changed, and an unused bucket needs no memory.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """What was spent of a number of tokens that come back within a minute, evenly.

    Args:
        spent: as of `at`.
        at: seconds on a monotonic clock.
    """

    spent: float = 0.0
    at: float = 0.0

    def has_room(self, per_minute: int, now: float) -> bool:
        """Is there a whole token left? Also brings the bucket up to date.

        Args:
            per_minute: how many tokens there are, and come back in a minute.
        """
        returned = max(0.0, now - self.at) * per_minute / 60.0
        self.spent = max(0.0, min(self.spent, per_minute) - returned)
        self.at = now
        return self.spent + 1.0 <= per_minute + 1e-9

    def take(self, tokens: float = 1.0) -> None:
        """Take a token; a negative number gives back."""
        self.spent = max(0.0, self.spent + tokens)
