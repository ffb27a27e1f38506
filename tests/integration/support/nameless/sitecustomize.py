"""Python reads this at its start: the process then runs as a user that has a number and no name."""

import pwd
from typing import NoReturn


def _nameless(number: object) -> NoReturn:
    raise KeyError(f"getpwuid(): uid not found: {number}")


pwd.getpwuid = _nameless
