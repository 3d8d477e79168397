"""Label matchers that tell what is worth watching from what is not; recording rules, alerts and panels share them."""

from __future__ import annotations

NO_DISK_FILESYSTEM = 'fstype!~"tmpfs|devtmpfs|ramfs|overlay|squashfs|erofs|iso9660"'
"""File systems that hold data: not those in memory, and not those that are full and read-only by nature."""

LOOP = 'device=~"/dev/loop.*"'
"""Sized volumes: each is a loop device."""

NO_LOOP = 'device!~"/dev/loop.*"'
NO_VIRTUAL_DISK = 'device!~"(loop|ram|zram|sr|fd)[0-9]+"'
PHYSICAL_NIC = 'device!~"lo|veth.*|docker.*|br-.*|virbr.*|vnet.*|tap.*|tun.*|ovs-.*|dummy.*|ifb.*"'
"""Links of the host itself: those of containers come and go."""
