"""Runs as a process of its own: reads paths from standard input, a line each, and answers statvfs(3) of each.

Started with `python -I -S`: the standard library only, a few MiB. It may hang in the kernel for ever; that is what
it is for. It ends when its parent does, because its standard input ends then.
"""

import os
import sys


def main() -> None:
    """Answer line by line: five integers (bytes and inodes), or `error` and the number."""
    for line in sys.stdin.buffer:
        try:
            usage = os.statvfs(line[:-1])
        except OSError as error:
            answer = f"error {error.errno}\n"
        else:
            answer = (
                f"{usage.f_blocks * usage.f_frsize} {usage.f_bfree * usage.f_frsize} "
                f"{usage.f_bavail * usage.f_frsize} {usage.f_files} {usage.f_ffree}\n"
            )
        sys.stdout.write(answer)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
