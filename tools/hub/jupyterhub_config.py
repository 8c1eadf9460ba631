"""Settings of JupyterHub for a closed room: one machine, one password, no accounts.

`make hub` starts it (tools/hub/__main__.py) and says by environment variables where and how.
The learners share the account that starts the hub, so they can read one another's files; use The
Littlest JupyterHub where they may not (docs/in_a_room.md).
"""

import os
import sys
from pathlib import Path

from tools.hub import FIRST, NAMES, give_course
from tools.lab import QUIET

c = get_config()  # noqa: F821 - JupyterHub defines it
room = Path(os.environ["ROOM_DIR"])
port = int(os.environ["ROOM_PORT"])
hub_port, proxy_port = map(int, os.environ["ROOM_INNER_PORTS"].split())

c.JupyterHub.bind_url = f"http://{os.environ['ROOM_ADDRESS']}:{port}"
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = hub_port
c.JupyterHub.db_url = f"sqlite:///{room / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(room / "cookie_secret")
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = [os.environ["ROOM_PROXY"]]
c.ConfigurableHTTPProxy.pid_file = str(room / "proxy.pid")

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["ROOM_PASSWORD"]
c.SharedPasswordAuthenticator.admin_password = os.environ["ROOM_ADMIN_PASSWORD"]
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"instructor"}
c.Authenticator.username_pattern = f"^{NAMES}$"

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(room / "homes" / "{username}")
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.notebook_dir = "~/course"
c.Spawner.default_url = f"/lab/tree/{FIRST}"
c.Spawner.args = [*QUIET, *(["--allow-root"] if os.geteuid() == 0 else [])]
# One thread for each learner: the threads of many learners wait for one another.
c.Spawner.environment = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONUTF8": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",
    **{name: os.environ[name] for name in ("COURSE_DATA",) if name in os.environ},
}
c.Spawner.start_timeout = c.Spawner.http_timeout = 180
c.Spawner.poll_interval = 10    # so many seconds after its death a server can be started anew
c.JupyterHub.concurrent_spawn_limit = 5
c.JupyterHub.log_level = "WARN"


def before_a_server_starts(spawner) -> None:
    """Give the learner what he lacks of the course."""
    give_course(room / "homes" / spawner.user.name)


c.Spawner.pre_spawn_hook = before_a_server_starts
