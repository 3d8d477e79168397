"""The one error tree of vdbmon: what was wrong, where, and what to do, in one line each."""

from __future__ import annotations


class VdbmonError(Exception):
    """An error that a user can act on; the command prints it as one line and exits with `exit_code`.

    Attributes:
        code: stable dotted word for programs (`config.unknown_key`); never reused with another meaning.
        message: what was wrong and where.
        remedy: what to do about it; empty where the message says it.
    """

    exit_code = 1

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        self.code = code
        self.message = message
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class ConfigError(VdbmonError):
    """The configuration file or an argument can't be used as it stands."""

    exit_code = 2
