"""The clock of the tests: the simulator's account has it, and the service is given it."""

from ..simulator import DAY, Account


class Clock:
    """The account's clock, which moves only when a test says so: `install(app, settings, clock=clock)`."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def __call__(self) -> float:
        return float(self._account.now)

    @property
    def now(self) -> int:
        """Unix seconds."""
        return self._account.now

    def advance(self, seconds: int = 0, *, days: int = 0) -> None:
        """Move on. The account and the service see the same time.

        Raises:
            ValueError: when the time would not move forward.
        """
        self.move_to(self.now + seconds + days * DAY)

    def move_to(self, moment: int) -> None:
        """Move on to a moment, in Unix seconds.

        Raises:
            ValueError: when it lies before now.
        """
        if moment < self.now:
            raise ValueError(f"The clock shows {self.now} and moves forward only, not to {moment}.")
        self._account.advance(moment - self.now)
