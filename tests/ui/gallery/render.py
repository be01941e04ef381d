"""Renders the gallery: ``python -m tests.ui.gallery.render FOLDER`` writes its pages and their static
files.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def configure() -> None:
    """Just enough of Django to render templates, where no project is set up yet."""
    import django
    from django.conf import settings

    if settings.configured:
        return
    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.staticfiles",
            "django_htmx",
            "apps.core",
            "apps.accounts",
            "apps.ui",
        ],
        AUTH_USER_MODEL="accounts.User",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [ROOT / "templates"],
                "APP_DIRS": True,
            }
        ],
        STATIC_URL="static/",
        ROOT_URLCONF="tests.ui.gallery.render",
        USE_TZ=True,
        USE_I18N=False,
    )
    django.setup()


def _urls() -> list[Any]:
    from django.urls import path
    from django.views.defaults import page_not_found

    return [path("sign-out", page_not_found, name="logout")]


urlpatterns = _urls() if __name__ != "__main__" else []


class Person:
    """A signed-in user as the bar shows one."""

    is_authenticated = True

    def get_username(self) -> str:
        return "sre"

    def get_full_name(self) -> str:
        return "Site Reliability"

    def get_role_display(self) -> str:
        return "SRE admin"


class Visit:
    """As much of a request as the frame looks at."""

    path = "/services/payments-api"
    GET: dict[str, str] = {}
    htmx = None

    def __init__(self, user: object) -> None:
        self.user = user


class Frame:
    """The shell with figures of its own."""

    search_url = "#"
    needs_you_url = "#"
    needs_you = 4
    needs_you_label = "Recommendations"

    def __init__(self, sample: dict[str, Any]) -> None:
        from apps.ui.context_processors import drawn_rooms

        self.rooms = drawn_rooms(sample["navigation"])
        self.data_as_of = sample["now"]


def pages() -> dict[str, str]:
    """Every page of the gallery as HTML, by file name."""
    from django.test import override_settings

    with override_settings(ROOT_URLCONF="tests.ui.gallery.render"):
        return _pages()


def _pages() -> dict[str, str]:
    from django.template import Context, Template, engines

    from tests.ui.gallery.samples import context

    sample = context()
    engine = engines["django"].engine  # type: ignore[attr-defined]
    base = {"shell": Frame(sample), "csrf_token": "sample"}

    def render(template: Template, **more: Any) -> str:
        return str(template.render(Context(base | sample | more)))

    gallery = Template((HERE / "gallery.html").read_text(), engine=engine)
    visit = Visit(Person())
    found = {
        "gallery.html": render(gallery, request=visit),
        "login.html": render(engine.get_template("registration/login.html"), next="/services"),
        "404.html": render(engine.get_template("404.html"), request=visit),
        "403.html": render(engine.get_template("403.html"), request=visit),
        "500.html": render(engine.get_template("500.html")),
    }
    problem = {
        "status": 409,
        "title": "This has changed since you looked",
        "detail": "owner accepted 99.9 % at 14:03 UTC, after you opened this page.",
        "extra": {"difference": [{"label": "Target", "before": "99.5 %", "after": "99.9 %"}]},
    }
    found["409.html"] = render(
        engine.get_template("errors/problem.html"), error=problem, request_id="req-01", request=visit
    )
    return found


def write(folder: Path) -> list[Path]:
    """Write the pages and copy what they load; return the pages' paths."""
    import django_htmx

    shutil.copytree(ROOT / "static", folder / "static", dirs_exist_ok=True)
    shutil.copytree(Path(django_htmx.__file__).parent / "static", folder / "static", dirs_exist_ok=True)
    written = []
    for name, html in pages().items():
        path = folder / name
        path.write_text(html.replace('"/static/', '"static/'))
        written.append(path)
    return written


if __name__ == "__main__":
    configure()
    for page in write(Path(sys.argv[1])):
        print(page)
