"""What can go wrong with the ledger; each class tells the caller what to do."""

from __future__ import annotations

from collector.errors import VdbmonError


class LedgerError(VdbmonError):
    """The ledger can't be opened, read or written."""


class ConcurrentUpdateError(LedgerError):
    """Something that the decision was made on has changed since; decide again."""

    def __init__(self, what: str, detail: str) -> None:
        super().__init__("ledger.concurrent_update", f"{what} changed while this was decided: {detail}", "try again")


class TakenOverError(LedgerError):
    """Somebody else finishes, undoes or removes this launch now: leave it to him."""

    def __init__(self, name: str) -> None:
        super().__init__("launch.taken_over", f"{name} was taken over by somebody else meanwhile", "see `vdbmon ps`")


class NameTakenError(LedgerError):
    """A live launch has that name."""

    exit_code = 3

    def __init__(self, name: str) -> None:
        super().__init__("name.taken", f"{name} is placed already", f"choose another name, or `vdbmon rm {name}`")


class NotEmptyError(LedgerError):
    """There is something in the ledger that would be overwritten."""

    exit_code = 3

    def __init__(self, what: str) -> None:
        super().__init__(
            "ledger.not_empty",
            f"{what} is in the ledger already",
            "rebuild into a new one: give [ledger] url another name, or move the old one away",
        )
