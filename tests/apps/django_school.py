"""A Django site that trusts a header, as Django's own documentation says (howto/auth-remote-user).

It is Django's admin in Russian and nothing of ours: RemoteUserMiddleware reads the header, RemoteUserBackend
makes the person's account, and who is in the group "staff" may enter the admin.

    DATABASE=/tmp/db.sqlite3 python3 django_school.py migrate
    DATABASE=/tmp/db.sqlite3 python3 django_school.py runserver --noreload --insecure 127.0.0.1:8000
"""

import os
import sys
from urllib.parse import unquote

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    LANGUAGE_CODE="ru",
    USE_I18N=True,
    USE_TZ=True,
    STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"]}},
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        __name__ + ".HeaderMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    AUTHENTICATION_BACKENDS=[__name__ + ".Backend"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ],
            },
        },
    ],
)
sys.modules.setdefault("django_school", sys.modules[__name__])
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth.backends import RemoteUserBackend  # noqa: E402
from django.contrib.auth.middleware import RemoteUserMiddleware  # noqa: E402
from django.core.management import execute_from_command_line  # noqa: E402
from django.urls import path  # noqa: E402


class HeaderMiddleware(RemoteUserMiddleware):
    header = "HTTP_X_USER_LOGIN"


class Backend(RemoteUserBackend):
    def configure_user(self, request, user):
        staff = "staff" in request.headers.get("X-User-Groups", "").split(",")
        user.first_name = unquote(request.headers.get("X-User-First-Name", ""))
        user.email = request.headers.get("X-User-Email", "")
        user.is_staff = user.is_superuser = staff
        user.save()
        return user


urlpatterns = [path("admin/", admin.site.urls)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
