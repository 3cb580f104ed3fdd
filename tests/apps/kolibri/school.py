"""Settings for Kolibri as it comes from PyPI: who is signed in is what the gateway's header says.

Kolibri has no setting for this, so a middleware of thirty lines stands behind its own. Facility and superuser are made
by `kolibri manage provisiondevice`, not by the header.
"""

from kolibri.deployment.default.settings.base import *  # noqa: F401,F403

_OWN = "kolibri.core.auth.middleware.CustomAuthenticationMiddleware"
MIDDLEWARE.insert(MIDDLEWARE.index(_OWN) + 1, "school.sign_in_by_header")  # noqa: F405


def sign_in_by_header(get_response):
    def answer(request):
        from django.contrib.auth import login, logout

        name = request.headers.get("X-Remote-User", "")
        if request.user.username != name:
            logout(request)
            user = person(name, request.headers.get("X-User-Name", "")) if name else None
            if user:
                login(request, user, backend="kolibri.core.auth.backends.FacilityUserBackend")
        return get_response(request)

    return answer


def person(name, full_name):
    """This learner of the facility, who may be here for the first time."""
    from urllib.parse import unquote

    from kolibri.core.auth.models import Facility, FacilityUser

    facility = Facility.get_default_facility()
    if facility is None:
        return None
    told = {"full_name": unquote(full_name), "password": "NOT_SPECIFIED"}
    user, _ = FacilityUser.objects.get_or_create(username=name, facility=facility, defaults=told)
    return user
