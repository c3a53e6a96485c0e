"""HotelMate's one settings file: secure by default, and the environment decides (the README has the table)."""

from datetime import timedelta
from pathlib import Path

import environ
from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# ``make run`` sets this and nothing else does: plain http on loopback instead of https, static files unbuilt.
DEVELOPMENT = env.bool("DEVELOPMENT", default=False)
DEBUG = False
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set: put 50 random characters into the environment, or use `make run`, which makes one."
    )
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEVELOPMENT else [])

INSTALLED_APPS = [
    "hotelmate.admin_config.HotelAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "corsheaders",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "pgtrigger",
    "mailer",
    "hotel",
    "rooms",
    "room_bookings",
    "housekeeping",
    "notifications",
    "board",
    "operations",
]

MIDDLEWARE = [
    "hotelmate.probes.ProbesMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "common.middleware.OperationMiddleware",
    "common.middleware.NoStoreMiddleware",
    "common.middleware.UnreadableMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "common.middleware.BusyMiddleware",
]

ROOT_URLCONF = "hotelmate.urls"
WSGI_APPLICATION = "hotelmate.wsgi.application"
# A POST to a path without its slash gets a clear 404 rather than a redirect that drops the body.
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "hotelmate" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- database ---------------------------------------------------------------------------------------------------------

DATABASES = {"default": env.db("DATABASE_URL", default="postgres:///hotelmate", engine="common.postgres")}
# What follows holds unless DATABASE_URL names that very thing: ``?connect_timeout=10``, or, as a setting of the
# session, ``?options=-c%20lock_timeout%3D60s``. (Of a setting that is named twice, PostgreSQL takes the last.)
DATABASES["default"].setdefault("CONN_MAX_AGE", env.int("DATABASE_CONN_MAX_AGE", default=60))
DATABASES["default"].setdefault("CONN_HEALTH_CHECKS", True)
_options = DATABASES["default"].get("OPTIONS", {})
DATABASES["default"]["OPTIONS"] = {
    # Seconds. A machine that is gone, or a network that is cut, says nothing: without these a thread would wait for it
    # for a quarter of an hour. A server that merely works for long acknowledges what it gets, and is waited for.
    "connect_timeout": 4,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5_000,  # milliseconds
    **_options,
    "options": " ".join(
        [
            # A request waits this long for a row that somebody else has locked, then answers 503 (docs/locking.md).
            "-c lock_timeout=3s",
            # PostgreSQL, too, notices within a minute that a machine is gone: its locks would outlive it for hours.
            "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
            "-c tcp_user_timeout=60s",
            # On flash and in memory, a page somewhere costs hardly more than the next: else lists read whole tables.
            "-c random_page_cost=1.1",
            # What is read in portions is read to its end: no plan that would be good for the first tenth only.
            "-c cursor_tuple_fraction=1",
            # No statement here runs long enough for compiling it to pay; and nothing can cancel the compiling.
            "-c jit=off",
            _options.get("options", ""),
        ]
    ).rstrip(),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Shared by all web processes, as login throttling needs it; nothing on the path of a status change uses it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "django_cache",
        # Beyond it the oldest third is thrown out: more than anybody can fill past the throttle by address.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
}

# --- people -----------------------------------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = ["hotel.backends.StaffBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
] + [{"NAME": "hotel.passwords.NewPasswordSignsOut"}]
LOGIN_URL = "board:sign-in"
LOGIN_REDIRECT_URL = "board:home"
REST_KNOX = {"TOKEN_TTL": timedelta(days=14), "AUTH_HEADER_PREFIX": "Token"}
LOGIN_THROTTLE = env.str("LOGIN_THROTTLE", default="10/min")
LOGIN_THROTTLE_ADDRESS = env.str("LOGIN_THROTTLE_ADDRESS", default="120/min")

# --- API --------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "hotel.authentication.StaffTokenAuthentication",
        "hotel.authentication.StaffSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["common.parsers.BodyParser"],
    "DEFAULT_RENDERER_CLASSES": ["common.renderers.QuickJSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "common.pagination.PagePagination",
    "DEFAULT_SCHEMA_CLASS": "common.openapi.Schema",
    "EXCEPTION_HANDLER": "common.handlers.exception_handler",
    "DEFAULT_THROTTLE_RATES": {"login": LOGIN_THROTTLE, "login-address": LOGIN_THROTTLE_ADDRESS},
    # How many proxies stand in front and append to X-Forwarded-For: it decides whose address login throttling sees.
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
    "URL_FORMAT_OVERRIDE": None,
    # OPTIONS is for CORS preflights; what an endpoint takes is in the OpenAPI document.
    "DEFAULT_METADATA_CLASS": None,
}
# Larger bodies get 413 before anything is read.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
SPECTACULAR_SETTINGS = {
    "TITLE": "HotelMate staff API",
    "DESCRIPTION": "The state of every room, right, at once, for everyone in the house.\n\n"
    "Ids are taken as numbers or as text, in paths and bodies. Fields that are not named here are ignored; "
    "those that an endpoint shows and does not take are, too, unless it says that it refuses them.\n\n"
    "Text is stored in Unicode's composed form (NFC). A name or another single line with a line break, a control or an "
    "invisible character in it is refused, and so is a note with a control character.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api",
    "ENUM_NAME_OVERRIDES": {
        "BookingStatusEnum": "room_bookings.models.BookingStatus",
        "MailKindEnum": "notifications.models.MailKind",
        "MailStateEnum": "notifications.models.MailState",
        "OverstayStatusEnum": "room_bookings.models.OverstayStatus",
        "RoomStatusEnum": "rooms.models.RoomStatus",
        "PriorityEnum": "rooms.models.Priority",
        "StatusSourceEnum": "housekeeping.models.Source",
        "TaskStatusEnum": "housekeeping.models.TaskStatus",
        "TaskTypeEnum": "housekeeping.models.TaskType",
    },
}

# --- browsers of other origins ----------------------------------------------------------------------------------------

CORS_ALLOWED_ORIGINS = env.list(
    "CORS_ALLOWED_ORIGINS",
    default=["http://localhost:3000", "http://127.0.0.1:3000", "http://localhost:5173", "http://127.0.0.1:5173"]
    if DEVELOPMENT
    else [],
)
CORS_ALLOW_HEADERS = [*default_headers, "x-hotel-id", "x-hotel-slug", "idempotency-key", "if-match"]
CORS_EXPOSE_HEADERS = ["ETag", "Retry-After"]
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- https ------------------------------------------------------------------------------------------------------------

SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not DEVELOPMENT)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("TRUST_PROXY_PROTO", default=False) else None
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0 if DEVELOPMENT else 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEVELOPMENT
SECURE_HSTS_PRELOAD = not DEVELOPMENT
SESSION_COOKIE_SECURE = not DEVELOPMENT
CSRF_COOKIE_SECURE = not DEVELOPMENT
SESSION_COOKIE_HTTPONLY = True

# --- static files, language, time -------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = None if DEVELOPMENT else BASE_DIR / "staticfiles"
# What npm has installed for the board (package.json). Where it is not, the board takes it from its makers' CDN.
PUSHER_JS = BASE_DIR / "node_modules" / "pusher-js" / "dist" / "web"
STATICFILES_DIRS = [("pusher-js", PUSHER_JS)] if PUSHER_JS.is_dir() else []
WHITENOISE_USE_FINDERS = DEVELOPMENT
# Else a file that is edited while the server runs would be cut at its old length.
WHITENOISE_AUTOREFRESH = DEVELOPMENT
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEVELOPMENT
        else "hotelmate.static_files.HashedFilesStorage"
    },
}
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = "hotelmate.formats"
USE_TZ = True
TIME_ZONE = "UTC"

# --- live events ------------------------------------------------------------------------------------------------------

PUSHER_APP_ID = env.str("PUSHER_APP_ID", default="")
PUSHER_KEY = env.str("PUSHER_KEY", default="")
PUSHER_SECRET = env.str("PUSHER_SECRET", default="")
PUSHER_CLUSTER = env.str("PUSHER_CLUSTER", default="")
# Any server that speaks Pusher's protocol, instead of Pusher Channels itself.
PUSHER_HOST = env.str("PUSHER_HOST", default="")
PUSHER_PORT = env.int("PUSHER_PORT", default=443)
PUSHER_SSL = env.bool("PUSHER_SSL", default=True)
PUSHER_TIMEOUT = 5  # seconds for one call to Pusher; only the relay ever waits for it
REALTIME_RELAY = env.str("REALTIME_RELAY", default="thread")
if REALTIME_RELAY not in ("thread", "off"):
    raise ImproperlyConfigured("REALTIME_RELAY is 'thread' (default: send events from the web process) or 'off'.")
# For clients that cannot sign in to private channels: no names, addresses or notes (notifications/public_channels.py).
REALTIME_PUBLIC_CHANNELS = env.bool("REALTIME_PUBLIC_CHANNELS", default=False)
# For so long a client may be away and still catch up; ``tick`` forgets what is older.
EVENT_RETENTION_DAYS = env.int("EVENT_RETENTION_DAYS", default=7)
if not 1 <= EVENT_RETENTION_DAYS <= 3650:
    raise ImproperlyConfigured("EVENT_RETENTION_DAYS is a number of days from 1 to 3650.")

# --- mail to guests ---------------------------------------------------------------------------------------------------

# Whatever is sent goes into the queue, in the transaction at hand; the worker sends from there (notifications/mail.py).
EMAIL_BACKEND = "mailer.backend.DbBackend"
_provider = env.email_url_config(env.str("EMAIL_URL", default="") or "consolemail://")
MAILER_EMAIL_BACKEND = _provider["EMAIL_BACKEND"]
EMAIL_HOST = _provider["EMAIL_HOST"] or "localhost"
EMAIL_HOST_USER = _provider["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = _provider["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS = bool(_provider.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL = bool(_provider.get("EMAIL_USE_SSL"))
EMAIL_PORT = _provider["EMAIL_PORT"] or (465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25)
EMAIL_FILE_PATH = _provider["EMAIL_FILE_PATH"] or None
EMAIL_TIMEOUT = 10  # seconds for each step of the talk with the provider; only the worker ever waits for it
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="") or "HotelMate <hotelmate@localhost>"
# The history of what was sent keeps no copy of it.
MAILER_EMAIL_LOG_MESSAGE_DATA = False

# --- card payments ----------------------------------------------------------------------------------------------------

# Without a key, bookings with a card payment can be neither approved nor declined (503); others can.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
# A stand-in of Stripe's API, in tests.
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="") or "https://api.stripe.com"
STRIPE_TIMEOUT = 10  # seconds for one call; no lock is held meanwhile
# Threads of a web process that may wait for Stripe at the same time, a quarter of them: further calls are answered
# 503 PAYMENTS_BUSY. Of each process, not of all: a process keeps most of its threads free, whichever has the desk's
# connections, and nothing has to be shared or outlives a process that is killed.
PAYMENT_CALLS_AT_ONCE = max(1, env.int("WEB_THREADS", default=4) // 4)

# --- seeing it ------------------------------------------------------------------------------------------------------

# Whoever sends it may read /metrics; without one nobody may, but in development everybody.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if not METRICS_TOKEN.isascii():
    raise ImproperlyConfigured("METRICS_TOKEN has characters that no header can carry: take letters and digits.")

# --- logging ----------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "common.logs.RedactingFormatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        # 4xx answers are the caller's business, not the log's.
        "django.request": {"handlers": ["console"], "level": "ERROR", "propagate": False},
        # A line for each event: for a log that somebody collects, not for the terminal of ``make run``.
        "notifications.relay": {"level": env.str("LOG_LEVEL", default="WARNING" if DEVELOPMENT else "INFO")},
        # At INFO it logs each call, and what Stripe says of a card that it refused.
        "stripe": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        # Below that, its own commands log subjects and addresses.
        "mailer": {"handlers": ["console"], "level": "WARNING", "propagate": False},
    },
}
