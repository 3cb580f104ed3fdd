"""A provider that signs one person in without asking: enough of OpenID Connect for the bench to have a session.

Standard library and the `openssl` command; nothing here is measured.
"""

import base64
import hashlib
import http.server
import json
import pathlib
import subprocess
import threading
import time
import urllib.parse

PERSON = {
    "name": "Анна Сергеевна Королёва", "given_name": "Анна", "family_name": "Королёва",
    "email": "anna@school.example", "email_verified": True, "phone_number": "+70000000001",
    "groups": ["students", "10-А"],
}


class Provider(http.server.ThreadingHTTPServer):
    """Listens on a free loopback port until `shutdown`."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.key = pathlib.Path(folder) / "provider.key"
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self.key))
        modulus = openssl("rsa", "-in", str(self.key), "-noout", "-modulus").decode().strip().partition("=")[2]
        self.jwk = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench", "e": "AQAB",
                    "n": encoded(bytes.fromhex(modulus))}
        self.nonces = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def id_token(self, nonce):
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": "bench-1", "aud": "bench", "iat": now, "exp": now + 600,
                  "nonce": nonce, "sid": "s-1", **PERSON}
        header = {"alg": "RS256", "kid": "bench", "typ": "JWT"}
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{encoded(openssl('dgst', '-sha256', '-sign', str(self.key), given=signed.encode()))}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        issuer = self.server.issuer
        if url.path == "/.well-known/openid-configuration":
            self.answer({
                "issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/jwks", "response_types_supported": ["code"],
                "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
            })
        elif url.path == "/jwks":
            self.answer({"keys": [self.server.jwk]})
        elif url.path == "/authorize":
            code = hashlib.sha256(query["state"].encode()).hexdigest()
            self.server.nonces[code] = query["nonce"]
            back = urllib.parse.urlencode({"code": code, "state": query["state"]})
            self.send_response(302)
            self.send_header("Location", f"{query['redirect_uri']}?{back}")
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        nonce = self.server.nonces.pop(form["code"])
        self.answer({"access_token": "bench-access-token", "token_type": "Bearer", "expires_in": 600,
                     "id_token": self.server.id_token(nonce)})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def encoded(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def openssl(*arguments, given=None):
    return subprocess.run(["openssl", *arguments], input=given, check=True, capture_output=True).stdout
