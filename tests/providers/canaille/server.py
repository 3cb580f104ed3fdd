"""A real OpenID Connect provider: canaille, with everything in memory.

    .cache/canaille/bin/python server.py

What it has that others have not: ID tokens signed RS512, `auth_time` with a fraction, `aud` always a list, access
tokens that are JWTs of `typ: JWT` with the client as audience, a nonce that must be there, a login page that asks
for the name first and for the password on the next page, and client credentials that it does not percent-decode
(RFC 6749 section 2.3.1), so they must not need it. Everybody's password is «пароль».
"""

import logging
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from canaille import create_app  # noqa: E402
from canaille.app import models  # noqa: E402
from canaille.backends import Backend  # noqa: E402
from obey import leave, listener, obey  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

PEOPLE = [
    ("ivanov", "Иван", "Иванов", ["ivanov@school.example"]),
    ("petrova", "Мария", "Петрова", ["petrova@school.example"]),
]


def add_client(app, client):
    with app.app_context():
        known = models.Client(client_name=client["client_id"], client_uri="http://127.0.0.1/", **client)
        Backend.instance.save(known)
        # It names nobody in `aud` otherwise.
        known.audience = [known]
        Backend.instance.save(known)


def main():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    listening = listener()
    host = f"127.0.0.1:{listening.getsockname()[1]}"
    app = create_app(
        {
            "SECRET_KEY": "for tests",
            "SERVER_NAME": host,
            "PREFERRED_URL_SCHEME": "http",
            "SESSION_COOKIE_NAME": "canaille_session",
            "CANAILLE": {"DATABASE": "memory", "LANGUAGE": "ru", "SMTP": None},
            # Clients of this host need no consent.
            "CANAILLE_OIDC": {"TRUSTED_DOMAINS": ["127.0.0.1"]},
        }
    )
    with app.app_context():
        for login, given_name, family_name, emails in PEOPLE:
            person = models.User(
                user_name=login,
                formatted_name=f"{given_name} {family_name}",
                given_name=given_name,
                family_name=family_name,
                emails=emails,
                password="пароль",
            )
            Backend.instance.save(person)
    port = listening.getsockname()[1]
    server = make_server("127.0.0.1", port, app, threaded=True, fd=listening.fileno())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    obey(f"http://{host}", {"client": lambda client: add_client(app, client)})
    leave()


main()
