"""JupyterHub as it comes from PyPI: who is signed in is what the gateway's header says (JupyterHub's own way to hand
that over is an Authenticator), and each person's server is a process of this machine.

Whoever runs it chooses DIRECTORY, where everything is kept, and PORT, HUB_PORT and PROXY_PORT.
"""

import os

from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler
from tornado import web

DIRECTORY = os.environ["DIRECTORY"]
HERE = os.path.dirname(os.path.abspath(__file__))


class SignedIn(BaseHandler):
    """In place of the page that asks for a password."""

    async def get(self):
        if not await self.login_user():
            raise web.HTTPError(401)
        self.redirect(self.get_next_url(await self.get_current_user()))


class ByHeader(Authenticator):
    auto_login = True

    def login_url(self, base_url):
        return base_url + "signed-in"

    def get_handlers(self, app):
        return [("/signed-in", SignedIn)]

    async def authenticate(self, handler, data):
        return handler.request.headers.get("X-Remote-User") or None


c = get_config()  # noqa: F821
c.JupyterHub.bind_url = f"http://127.0.0.1:{os.environ['PORT']}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['HUB_PORT']}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['PROXY_PORT']}"
c.ConfigurableHTTPProxy.command = ["node", f"{HERE}/node_modules/.bin/configurable-http-proxy"]
c.JupyterHub.db_url = f"sqlite:///{DIRECTORY}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{DIRECTORY}/cookie_secret"
c.ConfigurableHTTPProxy.pid_file = f"{DIRECTORY}/proxy.pid"
c.JupyterHub.authenticator_class = ByHeader
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = DIRECTORY + "/{username}"
# The tests may run as root, which it would refuse.
c.Spawner.args = ["--allow-root"]
c.Spawner.default_url = "/lab"
c.JupyterHub.log_level = "INFO"
