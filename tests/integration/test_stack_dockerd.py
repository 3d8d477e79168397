"""The stack's own dockerd, on the standard socket and data root of a world of the test's own.

Mount, pid and network namespaces give that world an empty /run and /var/lib/docker; the machine's daemon isn't in it.
Mounts of the machine are slaves there: what the machine unmounts meanwhile must go there too.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from tests.support.stack import VDBMON, write_stack

WORLD = ("unshare", "--mount", "--propagation", "slave", "--pid", "--net", "--fork", "--mount-proc", "--kill-child")
SCENARIO_SECONDS = 150

SCENARIO = """
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/docker "$WORLD/docker"
mount --bind "$WORLD/docker" /var/lib/docker
ip link set lo up

up() { "$VDBMON" stack up --no-demo $OPTIONS; }
well() { timeout 30 sh -c "until $VDBMON status $OPTIONS >/dev/null 2>&1; do sleep 0.3; done"; }
daemons() { pgrep -xc dockerd || true; }

echo "== none runs"
up
well
"$VDBMON" status $OPTIONS | grep "started by the stack"
[ "$(daemons)" = 1 ]

echo "== daemon killed"
killed=$(cat /run/docker.pid)
kill -9 "$killed"
timeout 20 sh -c "while [ \\"\\$(cat /run/docker.pid)\\" = $killed ]; do sleep 0.1; done"
well
[ "$(daemons)" = 1 ]

echo "== all killed, pid file names another process"
kill -9 "$(cat "$STATE/supervisord.pid")" "$(cat /run/docker.pid)"
echo 1 >/run/docker.pid
up
well
[ "$(daemons)" = 1 ]

echo "== frozen"
frozen=$(cat /run/docker.pid)
kill -STOP "$frozen"
up | grep "(pid $frozen) at unix:///var/run/docker.sock doesn't answer"
[ "$(daemons)" = 1 ]
kill -CONT "$frozen"
well

echo "== socket and pid file deleted"
rm /run/docker.sock /run/docker.pid
up | grep "(pid $frozen)"
[ "$(daemons)" = 1 ]

echo "== supervisor killed, daemon without files"
kill -9 "$(cat "$STATE/supervisord.pid")"
up
well
[ "$(daemons)" = 1 ]

echo "== down"
"$VDBMON" stack down $OPTIONS
[ "$(daemons)" = 0 ]
echo "== end"
"""


def test_the_stack_starts_a_daemon_only_where_none_is_and_never_a_second(tmp_path: Path) -> None:
    stack = write_stack(tmp_path, "")
    environment = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"} | {
        "WORLD": str(tmp_path),
        "STATE": str(stack.layout.state),
        "VDBMON": str(VDBMON),
        "OPTIONS": shlex.join(stack.options),
    }
    done = subprocess.run(
        [*WORLD, "sh", "-c", SCENARIO],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SCENARIO_SECONDS,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "== end"), done.stdout
