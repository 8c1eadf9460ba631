"""What goes wrong on the way, told in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Fault(RuntimeError):
    """Something that whoever typed the command can mend; the message is one clear sentence."""


@contextmanager
def told(path: Path, what: str, advice: str) -> Iterator[None]:
    """Turn an error of the system inside into a Fault.

    path: the file or folder that is used    what: "written", "read"    advice: what may help
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Fault(f"{path} cannot be {what} ({reason}): {advice}.") from error
