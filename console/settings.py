"""Django settings. `console.configuration` reads what an operator can set; docs/configuration.md describes it."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import environ
import structlog
from django.utils.csp import CSP

from console.configuration import PROJECT, Configuration
from console.embedded import embedded_urls
from console.embedded.errors import os_errors_explained

# numpy reads this when it is loaded, here and in the processes that compute for a worker. Its matrices are small, so
# its own threads would only take processors from other computations.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ.get("OPENBLAS_NUM_THREADS") or "1"

BASE_DIR = PROJECT
_configuration = Configuration.read()

DATA_DIR = _configuration.data_dir
CONFIG_FILE = _configuration.config_file
PORT = _configuration.port
DATA_DIR_MIN_FREE_BYTES = _configuration.data_dir_min_free_bytes
DEMO = _configuration.demo
DEBUG = _configuration.debug


def local_secret(name: str) -> str:
    """Return a secret from the data folder. It is made on first use, and only for the embedded default."""
    path = DATA_DIR / name
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        candidate = secrets.token_urlsafe(48)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text().strip()
        with os.fdopen(handle, "w") as file:
            file.write(candidate)
        return candidate


# The addresses of the parts. A URL in the environment replaces the embedded part; nothing else changes.
_database_url = _configuration.database_url
_owner_url = _configuration.database_owner_url or _database_url
REDIS_URL = _configuration.redis_url
REDIS_TIMEOUT_S = _configuration.redis_timeout_ms / 1000
EMBEDDED_POSTGRES = not _database_url
EMBEDDED_REDIS = not REDIS_URL
if EMBEDDED_POSTGRES or EMBEDDED_REDIS:
    _embedded = embedded_urls(DATA_DIR)
    if EMBEDDED_POSTGRES:
        _database_url, _owner_url = _embedded.database_url, _embedded.database_owner_url
    if EMBEDDED_REDIS:
        REDIS_URL = _embedded.redis_url

SECRET_KEY = _configuration.secret_key
if not SECRET_KEY:
    with os_errors_explained(DATA_DIR):
        SECRET_KEY = local_secret("secret_key")
SECRET_KEY_FALLBACKS = _configuration.secret_key_fallbacks

ALLOWED_HOSTS = _configuration.allowed_hosts
CSRF_TRUSTED_ORIGINS = _configuration.csrf_trusted_origins
BEHIND_TLS = _configuration.behind_tls
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = _configuration.secure_ssl_redirect
    SECURE_REDIRECT_EXEMPT = [r"^-/healthz$", r"^-/ready$"]
    SECURE_HSTS_SECONDS = _configuration.secure_hsts_seconds
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SESSION_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_AGE = _configuration.session_cookie_age
SESSION_COOKIE_NAME = "ballast_session"
CSRF_COOKIE_NAME = "ballast_csrf"
TRUSTED_PROXY_COUNT = _configuration.trusted_proxy_count
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "manifest-src": [CSP.SELF],
}

INSTALLED_APPS = [
    "console",
    # Every folder of apps/ that has an apps.py. Their order does not matter.
    *(f"apps.{file.parent.name}" for file in sorted((BASE_DIR / "apps").glob("*/apps.py"))),
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "ninja",
]

MIDDLEWARE = [
    "apps.core.web.middleware.ProbeMiddleware",
    # Before all middleware that may refuse a request, so that a refusal has the request's id.
    "apps.core.web.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.core.web.middleware.BodyLimitMiddleware",
    "apps.core.web.middleware.MarksMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.accounts.middleware.SessionNoteMiddleware",
    "apps.core.web.visible_pages.VisibleCharactersMiddleware",
    "apps.core.web.middleware.ApiHeadersMiddleware",
    "apps.core.web.middleware.ProblemPagesMiddleware",
    # Innermost, because the problem of a 405 needs the methods that it names.
    "apps.core.web.middleware.ApiMethodsMiddleware",
]

ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.ui.context_processors.shell",
            ],
        },
    }
]


CONNECT_TIMEOUT_S = 2
POOL_TIMEOUT_S = 1
"""How long a thread waits for a connection of the pool before it asks whether the server lives; up to three times."""


def database(url: str, *, pool_size: int) -> dict[str, Any]:
    """Return a database entry for a URL, with a bounded pool and a deadline on connecting."""
    config: dict[str, Any] = environ.Env.db_url_config(url)
    config["ENGINE"] = "apps.core.database"
    config["CONN_HEALTH_CHECKS"] = True  # after a restart of the server no page meets a broken connection
    options = config.setdefault("OPTIONS", {})
    options.setdefault("connect_timeout", CONNECT_TIMEOUT_S)
    options.setdefault("application_name", "ballast")
    options["statement_timeout"] = _configuration.database_statement_timeout_ms / 1000
    options["patience"] = _configuration.database_patience_ms / 1000
    if pool_size:
        options["pool"] = {
            "min_size": 1,
            "max_size": pool_size,
            "timeout": POOL_TIMEOUT_S,
            "max_idle": 120,
            # Given up soon and begun again by the next request, so that nobody waits through growing pauses once the
            # server is back.
            "reconnect_timeout": 3,
        }
    return config


def without_credentials(url: str) -> tuple[str, str, str]:
    """Return an address without its user part, and the user and password from it."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, "", ""
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    return urlunsplit(bare), unquote(parts.username or ""), unquote(parts.password or "")


# "default" is the application's role, which owns nothing; "owner" migrates and makes partitions.
DATABASES = {
    "default": database(_database_url, pool_size=_configuration.database_pool_size),
    "owner": database(_owner_url, pool_size=0),
}
DATABASE_ROUTERS = ["apps.core.database.routers.ApplicationRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "apps.core.redis.cache.TolerantRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "ballast",
        "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
    }
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["apps.accounts.backends.RoleBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 60  # names have no digest, so an upgrade must show within a minute

MAX_BODY_BYTES = 10 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
SESSION_SERIALIZER = "django.contrib.sessions.serializers.JSONSerializer"
SILENCED_SYSTEM_CHECKS: list[str] = []

# Outside systems.
# Credentials are taken out of the address, because everybody sees the address.
PROMETHEUS_URL, PROMETHEUS_USER, PROMETHEUS_PASSWORD = without_credentials(_configuration.prometheus_url)
PROMETHEUS_TOKEN = _configuration.prometheus_token
PROMETHEUS_ORG_ID = _configuration.prometheus_org_id

API_RATE_PER_MINUTE = _configuration.api_rate_per_minute
API_RATE_BURST = _configuration.api_rate_burst
WINDOW_DAYS = _configuration.window_days

_shared_log_processors: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    structlog.processors.StackInfoRenderer(),
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared_log_processors,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
# The id that RequestIdMiddleware put into the headers.
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": _shared_log_processors,
        }
    },
    "filters": {"refusals": {"()": "console.refusals.Refusals"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["refusals"]}},
    "root": {"handlers": ["stderr"], "level": _configuration.log_level},
    "loggers": {"httpx": {"level": "WARNING"}, "django_structlog": {"level": "WARNING"}},
}

# A digest that separates two installations' keys in a shared Redis.
INSTALLATION_ID = hashlib.sha256(SECRET_KEY.encode()).hexdigest()[:12]
