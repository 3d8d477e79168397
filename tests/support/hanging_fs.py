"""A file system that hangs: FUSE spoken by hand, answering nothing but the greeting (linux/fuse.h, protocol 7.x).

Run as a program in mount and pid namespaces of its own, as their first process: the mount is seen there only, and
when it ends the kernel ends all the rest and every call that hangs.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_HEADER = struct.Struct("<IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
_ANSWER = struct.Struct("<IiQ")  # length, error, unique
_INIT = 26
# major, minor, max_readahead, flags, max_background, congestion_threshold, max_write, time_gran, and zeros
_GREETING = struct.Struct("<IIIIHHII9I")
_LARGEST_REQUEST = 1 << 17


def serve(mount_point: str) -> None:
    """Mount at `mount_point` and let every call hang that comes, in the state that no signal ends."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"hanging", mount_point.encode(), b"fuse.hanging", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount of a FUSE file system")
    while True:
        request = os.read(device, _LARGEST_REQUEST)
        _, opcode, unique, *_ = _HEADER.unpack_from(request)
        if opcode == _INIT:
            major, minor = struct.unpack_from("<II", request, _HEADER.size)
            greeting = _GREETING.pack(major, min(minor, 31), 0, 0, 0, 0, 1 << 16, 1, *[0] * 9)
            os.write(device, _ANSWER.pack(_ANSWER.size + len(greeting), 0, unique) + greeting)
            sys.stdout.write("mounted\n")
            sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
