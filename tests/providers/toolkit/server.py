"""A plain OAuth 2.0 provider: django-oauth-toolkit as Debian has it, without OpenID Connect.

    /usr/bin/python3 server.py '{"port": 0, "access_token_ttl": 3600, "pkce": true, "metadata": true}'

It says where it is and obeys (obey.py), by the names in COMMANDS, and takes its database with it when it ends.

    {issuer}/o/authorize/   authorization, with the toolkit's own consent page unless the client skips it
    {issuer}/o/token/       code and refresh token; PKCE is required unless `pkce` is false
    {issuer}/o/revoke_token/
    {issuer}/api/v1/me      who the Bearer token belongs to: {"id": 123, "email": "…", …}, no `sub`, no ID token
    {issuer}/.well-known/oauth-authorization-server     RFC 8414, unless `metadata` is false

Everybody's password is «пароль».
"""

import json
import os
import sys
import tempfile
import threading
from collections import Counter
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

OPTIONS = {"port": 0, "access_token_ttl": 3600, "pkce": True, "metadata": True, **json.loads(sys.argv[1])}
PLACE = tempfile.TemporaryDirectory(prefix="vestibule-toolkit-")

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    LOGIN_URL="/login/",
    SESSION_COOKIE_NAME="toolkit_session",
    CSRF_COOKIE_NAME="toolkit_csrf",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(PLACE.name, "db.sqlite3"),
            "OPTIONS": {"timeout": 20},
        }
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        __name__ + ".counting",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        },
    ],
    OAUTH2_PROVIDER={
        "SCOPES": {"public": "Узнать, кто вы", "phone": "Узнать ваш телефон"},
        "DEFAULT_SCOPES": ["public"],
        "PKCE_REQUIRED": OPTIONS["pkce"],
        "REQUEST_APPROVAL_PROMPT": "auto",
        "ACCESS_TOKEN_EXPIRE_SECONDS": OPTIONS["access_token_ttl"],
    },
)
sys.modules.setdefault("server", sys.modules[__name__])
django.setup()

from django.contrib.auth import authenticate, get_user_model, login  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils.html import escape  # noqa: E402
from obey import leave, obey  # noqa: E402
from oauth2_provider.models import get_access_token_model, get_application_model, get_refresh_token_model  # noqa: E402
from oauth2_provider.urls import base_urlpatterns  # noqa: E402
from oauth2_provider.views.generic import ProtectedResourceView  # noqa: E402

PEOPLE = [
    (123, "ivanov", "Иван", "Иванов", "ivanov@school.example"),
    (124, "petrova", "Мария", "Петрова", "petrova@school.example"),
    (125, "sidorova", "Ольга", "Сидорова-Ёжикова", ""),
]
COUNTS = Counter()


def counting(get_response):
    def middleware(request):
        COUNTS[request.path] += 1
        if request.path == "/o/token/":
            COUNTS[request.POST.get("grant_type", "")] += 1
        return get_response(request)

    return middleware


def sign_in(request):
    """A page of the same make as the other providers' login pages."""
    problem = ""
    if request.method == "POST":
        user = authenticate(request, username=request.POST["login"], password=request.POST["password"])
        if user:
            login(request, user)
            return HttpResponseRedirect(request.GET["next"])
        problem = '<p role="alert">Логин или пароль не подходят</p>'
    return HttpResponse(
        '<!DOCTYPE html><html lang="ru"><head><meta charset="utf-8"><title>Вход</title></head><body>'
        f'<h1>Вход</h1>{problem}<form id="login" method="post" action="{escape(request.get_full_path())}">'
        f'<input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'
        '<label>Логин <input name="login" value=""></label>'
        '<label>Пароль <input name="password" type="password" value=""></label>'
        "<button>Войти</button></form></body></html>"
    )


class Me(ProtectedResourceView):
    """Who the token belongs to, as Teachbase says it."""

    def get(self, request):
        user = request.resource_owner
        return JsonResponse(
            {
                "id": user.id,
                "email": user.email or None,
                "name": f"{user.first_name} {user.last_name}",
                "first_name": user.first_name,
                "last_name": user.last_name,
                "login": user.username,
            }
        )


def metadata(request):
    if not OPTIONS["metadata"]:
        raise Http404
    issuer = f"http://{request.get_host()}"
    return JsonResponse(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/o/authorize/",
            "token_endpoint": f"{issuer}/o/token/",
            "revocation_endpoint": f"{issuer}/o/revoke_token/",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256", "plain"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": ["public", "phone"],
        }
    )


urlpatterns = [
    path("login/", sign_in),
    path("api/v1/me", Me.as_view()),
    path(".well-known/oauth-authorization-server", metadata),
    path("o/", include((base_urlpatterns, "oauth2_provider"), namespace="oauth2_provider")),
]


def add_client(client):
    """{client_id, client_secret, redirect_uris: […], consent: bool}; consent is asked for only when it is true."""
    model = get_application_model()
    model.objects.filter(client_id=client["client_id"]).delete()
    model.objects.create(
        client_id=client["client_id"],
        client_secret=client.get("client_secret", ""),
        client_type="confidential" if client.get("client_secret") else "public",
        authorization_grant_type="authorization-code",
        redirect_uris=" ".join(client["redirect_uris"]),
        name=client.get("name", client["client_id"]),
        skip_authorization=not client.get("consent"),
    )


def add_person(person):
    """{id, login, first_name, last_name, email}: adds a person or writes over one with this id."""
    user = get_user_model()(
        id=person["id"],
        username=person["login"],
        first_name=person.get("first_name", ""),
        last_name=person.get("last_name", ""),
        email=person.get("email", ""),
    )
    user.set_password("пароль")
    user.save()


def revoke(login):
    """Every token of this person is worth nothing from now on."""
    get_refresh_token_model().objects.filter(user__username=login).delete()
    get_access_token_model().objects.filter(user__username=login).delete()


COMMANDS = {
    "client": lambda client: add_client(client),
    "person": lambda person: add_person(person),
    "revoke": lambda login: revoke(login),
    # How often each path was asked for, and each grant type at the token endpoint.
    "counts": lambda: dict(COUNTS),
    "reset": lambda: COUNTS.clear(),
}


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *words):
        pass


def main():
    call_command("migrate", verbosity=0)
    for number, login_name, first_name, last_name, email in PEOPLE:
        add_person(
            {"id": number, "login": login_name, "first_name": first_name, "last_name": last_name, "email": email}
        )
    server = make_server("127.0.0.1", OPTIONS["port"], get_wsgi_application(), Server, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    obey(f"http://127.0.0.1:{server.server_port}", COMMANDS)
    PLACE.cleanup()
    leave()


main()
