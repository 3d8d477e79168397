"""Where everything of a local stack is: one state folder, and one short folder below /run for its sockets.

A socket's path has at most 107 bytes (unix(7)), so sockets can't live below a checkout of any depth.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from alerts.generated import ALERTMANAGER_FILE, RULE_FILE
from collector.errors import VdbmonError

CHECKOUT = Path(__file__).resolve().parents[2]
STATE_DIR = CHECKOUT / "var"
CONFIG_FILE = CHECKOUT / "vdbmon.toml"
SOCKET_PATH_LIMIT = 107

_RUNTIME_ROOT = Path("/run")
_DIGEST_CHARACTERS = 8
# Supervisor expands % in some values twice, and takes what follows a blank and one of these for a comment.
_UNWRITABLE = re.compile(r"[%\n]|\s[;#]")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one local stack.

    Attributes:
        state: absolute folder of configuration, data and logs.
        config: the TOML file that the stack runs with.
        deploy: the checkout's `deploy` folder: image, rules, templates.
    """

    state: Path
    config: Path
    deploy: Path = CHECKOUT / "deploy"

    @property
    def run(self) -> Path:
        """Folder of the sockets; its name follows from the state folder, so that two stacks never share it."""
        digest = hashlib.sha256(str(self.state).encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return _RUNTIME_ROOT / f"vdbmon-{digest}"

    @property
    def supervisor_conf(self) -> Path:
        """Configuration of supervisor."""
        return self.state / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        """Socket on which supervisor is asked and told."""
        return self.run / "supervisor.sock"

    @property
    def supervisor_url(self) -> str:
        """The same as supervisor names it; every process it starts carries it as SUPERVISOR_SERVER_URL."""
        return f"unix://{self.supervisor_socket}"

    @property
    def ovs_socket(self) -> Path:
        """Socket of the database of the stack's Open vSwitch; those of its daemons lie beside it."""
        return self.run / "openvswitch" / "db.sock"

    @property
    def ovs_database(self) -> Path:
        """Database of the stack's Open vSwitch."""
        return self.state / "openvswitch" / "conf.db"

    @property
    def prometheus_conf(self) -> Path:
        """Configuration of Prometheus."""
        return self.state / "prometheus.yml"

    @property
    def alerts(self) -> Path:
        """Folder of the generated rules and Alertmanager configuration."""
        return self.state / "alerts"

    @property
    def rules(self) -> Path:
        """Rules for Prometheus."""
        return self.alerts / RULE_FILE

    @property
    def alertmanager_conf(self) -> Path:
        """Configuration of Alertmanager."""
        return self.alerts / ALERTMANAGER_FILE

    @property
    def lock(self) -> Path:
        """Held while the stack goes up or down."""
        return self.state / "stack.lock"

    @property
    def volumes(self) -> Path:
        """Sized volumes."""
        return self.state / "volumes"

    @property
    def spool(self) -> Path:
        """What the agent's outputs haven't delivered yet."""
        return self.state / "spool"

    @property
    def demo_data(self) -> Path:
        """Data directory of the demonstration's database."""
        return self.state / "demo" / "data"

    @property
    def demo_socket(self) -> Path:
        """Socket of the demonstration's database."""
        return self.run / "demo" / "mysqld.sock"

    @property
    def demo_credentials(self) -> Path:
        """MySQL option file of the demonstration's backup user."""
        return self.state / "demo" / "backup.cnf"

    def log(self, program: str) -> Path:
        """Log of a program; supervisor rotates it."""
        return self.state / "log" / f"{program}.log"

    def data(self, program: str) -> Path:
        """Data of a program."""
        return self.state / program


def find_layout(state: Path | None, config: Path | None) -> Layout:
    """The layout of the checkout that this package was installed from, or of the folders that are given.

    Raises:
        VdbmonError: `stack.no_checkout`, vdbmon was installed without its `deploy` folder; `stack.path`, supervisor's
            file can't carry that path.
    """
    layout = Layout(state=(state or STATE_DIR).absolute(), config=(config or CONFIG_FILE).absolute())
    if not layout.deploy.is_dir():
        raise VdbmonError(
            "stack.no_checkout",
            f"there is no {layout.deploy}",
            "the local stack runs from a checkout: run `make up` there",
        )
    if found := next((path for path in (layout.state, layout.config) if _UNWRITABLE.search(str(path))), None):
        raise VdbmonError(
            "stack.path", f"supervisor can't read the path {str(found)!r}", "move it to one without %, ' #' and ' ;'"
        )
    return layout
