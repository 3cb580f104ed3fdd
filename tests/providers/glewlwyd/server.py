"""A real OpenID Connect provider: Debian's Glewlwyd, written in C, with its own database.

    /usr/bin/python3 server.py

What it has that others have not: an issuer with a path, `session_state`, `azp` and `c_hash` in every ID token,
access tokens of `typ: at+jwt`, `token_type: bearer`, front-channel logout, and client credentials that it does not
percent-decode (RFC 6749 section 2.3.1), so they must not need it. Its pages are one JavaScript program over an API
that a test uses itself. Everybody's password is «пароль».

    POST   {host}/api/auth/                    {"username", "password"}: the login page
    PUT    {host}/api/auth/grant/{client_id}   {"scope": "openid profile email"}: the consent page
    DELETE {host}/api/oidc/session/{sid}, DELETE {host}/api/auth/: the sign-out page
"""

import ctypes
import http.cookiejar
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from obey import leave, listener, obey  # noqa: E402

PEOPLE = [
    ("ivanov", "Иванов Иван Сергеевич", "ivanov@school.example"),
    ("petrova", "Петрова Мария Алексеевна", "petrova@school.example"),
]
TABLES = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
SHARED = "/usr/share/glewlwyd"
CONFIGURATION = """
port={port}
bind_address="127.0.0.1"
external_url="http://127.0.0.1:{port}"
login_url="login.html"
api_prefix="api"
static_files_path="{webapp}/"
static_files_mime_types=(
  {{ extension=".html" mime_type="text/html" }},
  {{ extension=".js" mime_type="text/javascript" }},
  {{ extension=".css" mime_type="text/css" }},
  {{ extension=".json" mime_type="application/json" }}
)
log_mode="console"
log_level="ERROR"
cookie_secure=0
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
use_secure_connection=false
secure_connection_key_file=""
secure_connection_pem_file=""
secure_connection_ca_file=""
hash_algorithm="SHA512"
database={{ type="sqlite3" path="{database}" }}
"""


class Api:
    """Its administrator's API."""

    def __init__(self, host):
        self.base = f"{host}/api"
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )

    def send(self, method, path, content):
        request = urllib.request.Request(
            self.base + path,
            method=method,
            data=json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
        )
        self.opener.open(request, timeout=10).close()

    def sign_in(self):
        for _ in range(500):
            try:
                return self.send("POST", "/auth/", {"username": "admin", "password": "password"})
            except OSError:
                time.sleep(0.02)
        raise SystemExit("glewlwyd never answered")


def make_webapp(path):
    # Debian puts a folder where its pages look for their settings.
    shutil.copytree(f"{SHARED}/webapp", path, ignore=shutil.ignore_patterns("config.json"))
    shutil.copy(f"{SHARED}/templates/config.json", path)


def make_database(path):
    database = sqlite3.connect(path)
    with open(TABLES, encoding="utf-8") as tables:
        database.executescript(tables.read())
    # Clients have one address for after sign-out and no list of them, unless the list is declared.
    (text,) = database.execute("SELECT gcmi_parameters FROM g_client_module_instance").fetchone()
    parameters = json.loads(text)
    parameters["data-format"]["post_logout_redirect_uris"] = {"multiple": True, "read": True, "write": True}
    database.execute("UPDATE g_client_module_instance SET gcmi_parameters = ?", (json.dumps(parameters),))
    database.commit()
    database.close()


def openssl(arguments, text=None):
    done = subprocess.run(
        ["openssl", *arguments], input=text, capture_output=True, text=True, check=True
    )
    return done.stdout


def plugin(host):
    key = openssl(["genrsa", "2048"])
    on_demand = {"type": "string", "mandatory": False, "on-demand": True}
    return {
        "module": "oidc",
        "name": "oidc",
        "display_name": "OpenID Connect",
        "enabled": True,
        "parameters": {
            "iss": f"{host}/api/oidc",
            "jwt-type": "rsa",
            "jwt-key-size": "256",
            "key": key,
            "cert": openssl(["rsa", "-pubout"], key),
            "access-token-duration": 3600,
            "refresh-token-duration": 1209600,
            "code-duration": 600,
            "refresh-token-rolling": True,
            "refresh-token-one-use": "always",
            "allow-non-oidc": False,
            "auth-type-code-enabled": True,
            "auth-type-token-enabled": False,
            "auth-type-id-token-enabled": True,
            "auth-type-none-enabled": True,
            "auth-type-password-enabled": False,
            "auth-type-client-enabled": False,
            "auth-type-device-enabled": False,
            "auth-type-refresh-enabled": True,
            "pkce-allowed": True,
            "pkce-required": True,
            "pkce-method-plain-allowed": False,
            "introspection-revocation-allowed": True,
            "introspection-revocation-allow-target-client": True,
            "session-management-allowed": True,
            "session-cookie-name": "GLEWLWYD2_OIDC_SID",
            "session-cookie-expiration": 2419200,
            "front-channel-logout-allowed": True,
            "back-channel-logout-allowed": True,
            "subject-type": "public",
            "name-claim": "on-demand",
            "name-claim-scope": ["profile"],
            "email-claim": "on-demand",
            "email-claim-scope": ["email"],
            "claims": [{"name": "login", "user-property": "username", "scope": ["profile"], **on_demand}],
            "allowed-scope": ["openid", "profile", "email"],
            "scope": [],
            "address-claim": {"type": "no"},
        },
    }


def add_client(api, client):
    """{client_id, client_secret, redirect_uris, post_logout_redirect_uris, …}: RFC 7591 names where it has them."""
    api.send(
        "POST",
        "/client/",
        {
            "name": client["client_id"],
            "confidential": True,
            "enabled": True,
            "authorization_type": ["code", "refresh_token"],
            "token_endpoint_auth_method": [client.pop("token_endpoint_auth_method", "client_secret_basic")],
            "redirect_uri": client.pop("redirect_uris"),
            "scope": [],
            **client,
        },
    )


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main():
    with tempfile.TemporaryDirectory(prefix="vestibule-glewlwyd-") as place:
        with listener() as free:
            port = free.getsockname()[1]
        host, database = f"http://127.0.0.1:{port}", os.path.join(place, "db.sqlite3")
        make_database(database)
        webapp = os.path.join(place, "webapp")
        make_webapp(webapp)
        configuration = os.path.join(place, "glewlwyd.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(port=port, database=database, webapp=webapp))
        server = subprocess.Popen(
            ["glewlwyd", f"--config-file={configuration}"],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            preexec_fn=die_with_parent,
        )
        try:
            api = Api(host)
            api.sign_in()
            api.send("POST", "/mod/plugin/", plugin(host))
            for scope in ["profile", "email"]:
                display = {"display_name": scope, "description": scope}
                rules = {"password_required": True, "password_max_age": 0, "scheme": {}}
                api.send("POST", "/scope/", {"name": scope, **display, **rules})
            for login, name, email in PEOPLE:
                person = {"username": login, "name": name, "email": email, "password": "пароль"}
                rights = {"enabled": True, "scope": ["openid", "profile", "email"]}
                api.send("POST", "/user/", {**person, **rights})
            obey(f"{host}/api/oidc", {"client": lambda client: add_client(api, client)})
        finally:
            server.kill()
            server.wait()
    leave()


main()
