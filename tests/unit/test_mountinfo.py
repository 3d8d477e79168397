from hypothesis import given
from hypothesis import strategies as st

from collector.kernelfile import SkippedLines
from collector.mountinfo import Mount, parse_mountinfo

TEXT = rb"""166 27 7:2 / /volumes/b\0401 rw,noatime - ext4 /dev/loop2 ro,noinit_itable
42 27 254:0 /var/lib/docker /var/lib/docker rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
500 499 0:50 / / rw - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/o/c3/diff,workdir=/o/c3/work
torn line of another shape
7 6 x:y / /a rw - ext4 /dev/sda rw
8 6 0:4 / /last rw - tmpfs tmpfs rw"""


def test_mounts_are_read_and_odd_lines_cost_only_themselves() -> None:
    skipped = SkippedLines()
    mounts = list(parse_mountinfo(TEXT, skipped))
    assert mounts[0] == Mount("7:2", "/", "/volumes/b 1", "ext4", "/dev/loop2", "ro,noinit_itable")
    assert [mount.readonly for mount in mounts] == [True, False, False]
    assert (mounts[1].root, mounts[1].point) == ("/var/lib/docker", "/var/lib/docker")
    assert (mounts[2].option("upperdir"), mounts[2].option("upper")) == ("/o/c3/diff", None)
    assert skipped.count == 3


def test_optional_fields_and_all_escapes_are_read() -> None:
    line = (
        rb"90 27 7:3 / /srv/with\040space\134x\011\012 rw,noatime master:4 propagate_from:2 - ext4 /dev/loop3 rw"
        b"\n"
    )
    skipped = SkippedLines()
    assert list(parse_mountinfo(line, skipped)) == [
        Mount("7:3", "/", "/srv/with space\\x\t\n", "ext4", "/dev/loop3", "rw")
    ]
    assert skipped.count == 0


def test_only_the_points_that_are_wanted_are_given() -> None:
    points = [mount.point for mount in parse_mountinfo(TEXT, SkippedLines(), {"/volumes/b 1", "/none"})]
    assert points == ["/volumes/b 1"]


def test_a_path_that_is_no_text_stays_itself() -> None:
    (mount,) = parse_mountinfo(b"1 2 0:1 / /\xff\\134 rw - tmpfs x rw\n", SkippedLines())
    assert mount.point.encode(errors="surrogateescape") == b"/\xff\\"


@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(TEXT.split()), max_size=30).map(b" ".join)))
def test_hostile_text_raises_nothing(data: bytes) -> None:
    list(parse_mountinfo(data + b"\n", SkippedLines()))
