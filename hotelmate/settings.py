"""The only settings file: secure by default and configured by environment variables (table in the README)."""

from datetime import timedelta
from pathlib import Path

import environ
from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Set only by ``make run``: plain http on loopback instead of https, and static files that are not collected.
DEVELOPMENT = env.bool("DEVELOPMENT", default=False)
DEBUG = False
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set: set it to 50 random characters, or use `make run`, which generates one."
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
# A POST to a path without its slash gets a clear 404, not a redirect that drops the body.
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

# "transaction": DATABASE_URL leads to a pooler that shares PostgreSQL's sessions, so a web process relies on none.
# Everything else connects to DATABASE_DIRECT_URL (manage.py). See docs/scaling.md.
DATABASE_POOLER = env.str("DATABASE_POOLER", default="")
if DATABASE_POOLER not in ("", "transaction"):
    raise ImproperlyConfigured("DATABASE_POOLER must be 'transaction', or unset without a pooler that shares sessions.")
if DATABASE_POOLER and not env.str("DATABASE_DIRECT_URL", default=""):
    raise ImproperlyConfigured(
        "DATABASE_POOLER=transaction needs DATABASE_DIRECT_URL as well: worker and commands need sessions of their own."
    )
# Set on each connection, or by the database role if a pooler shares the connections (common/postgres/validation.py).
SESSION_SETTINGS = {
    # A request waits this long for a locked row, then returns 503 (docs/locking.md). Migrations may wait for longer.
    "lock_timeout": env.str("DATABASE_LOCK_TIMEOUT", default="3s"),
    # PostgreSQL, too, detects a dead client within a minute: otherwise its locks would be held for hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "60s",
    # On flash and in memory, random reads cost hardly more than sequential ones; else lists scan whole tables.
    "random_page_cost": "1.1",
    # Cursors here are read to the end: do not optimize plans for the first tenth of the rows.
    "cursor_tuple_fraction": "1",
    # Prepared statements are planned once, not anew for each array of keys.
    "plan_cache_mode": "force_generic_plan",
    # No statement runs long enough for JIT to pay off, and compilation cannot be cancelled.
    "jit": "off",
}
DATABASES = {"default": env.db("DATABASE_URL", default="postgres:///hotelmate", engine="common.postgres")}
# DATABASE_URL overrides each of the following: ``?connect_timeout=10`` or, for a session setting,
# ``?options=-c%20jit%3Don``. (PostgreSQL uses the last value of a setting that is given twice.)
DATABASES["default"].setdefault("CONN_MAX_AGE", env.int("DATABASE_CONN_MAX_AGE", default=60))
DATABASES["default"].setdefault("CONN_HEALTH_CHECKS", True)
# Django's name for "a pooler shares the connections"; it is also what our own code asks (common/postgres/base.py).
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = bool(DATABASE_POOLER)
_options = DATABASES["default"].get("OPTIONS", {})
if DATABASE_POOLER and "options" in _options:
    raise ImproperlyConfigured(
        "DATABASE_URL has `options`, which a transaction pooler does not pass on: use ALTER ROLE … SET instead."
    )
_hosts = str(DATABASES["default"].get("HOST", "")).count(",") + 1
DATABASES["default"]["OPTIONS"] = {
    # Seconds. A machine that is down, or a network that is cut, sends nothing: without these a thread would wait for a
    # quarter of an hour. A server that is merely slow acknowledges packets, so these do not end its statements.
    # (PostgreSQL's library tries several hosts one after the other, each for this long; 2 is the least it accepts.)
    "connect_timeout": 4 if _hosts <= 2 else 2,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5_000,  # milliseconds
    **_options,
}
if not DATABASE_POOLER:
    DATABASES["default"]["OPTIONS"]["options"] = " ".join(
        [*(f"-c {name}={value}" for name, value in SESSION_SETTINGS.items()), _options.get("options", "")]
    ).rstrip()
DEFAULT_AUTO_FIELD = "common.fields.KeyField"
# Shared by all web processes, as login throttling requires; status changes do not use it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "django_cache",
        # Beyond this a third is culled; the throttle per address keeps attackers from filling it.
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
    # Proxies in front that append to X-Forwarded-For: determines the address that login throttling sees.
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
    "URL_FORMAT_OVERRIDE": None,
    # OPTIONS is for CORS preflights; the OpenAPI document describes the endpoints.
    "DEFAULT_METADATA_CLASS": None,
}
# Larger bodies get 413 before they are read.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
SPECTACULAR_SETTINGS = {
    "TITLE": "HotelMate staff API",
    "DESCRIPTION": "The state of every room, correct and live, for everyone who works in the hotel.\n\n"
    "Ids are accepted as numbers or strings, in paths and bodies. Unknown fields are ignored; so are read-only fields, "
    "unless the endpoint says that it refuses them.\n\n"
    "Text is stored in Unicode's composed form (NFC). A name or other single-line text is refused if it contains a "
    "line break, a control character or an invisible character; a note, if it contains a control character.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api",
    "PATH_CONVERTER_OVERRIDES": {"number": str},
    "ENUM_NAME_OVERRIDES": {
        "BlockActionEnum": "rooms.models.BlockAction",
        "BlockKindEnum": "rooms.models.BlockKind",
        "BlockReturnStatusEnum": "rooms.models.RETURN_CHOICES",
        "BlockStatusEnum": "rooms.models.BlockStatus",
        "BlockerTypeEnum": "operations.serializers.BLOCKER_TYPES",
        "BookerTypeEnum": "room_bookings.models.BookerType",
        "BookingStatusEnum": "room_bookings.models.BookingStatus",
        "MailKindEnum": "notifications.models.MailKind",
        "MailStateEnum": "notifications.models.MailState",
        "OverstayStatusEnum": "room_bookings.models.OverstayStatus",
        "ReasonCodeEnum": "operations.serializers.REASON_CODES",
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
SESSION_ENGINE = "hotel.sessions"
SESSION_COOKIE_SECURE = not DEVELOPMENT
CSRF_COOKIE_SECURE = not DEVELOPMENT
SESSION_COOKIE_HTTPONLY = True

# --- static files, language, time -------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = None if DEVELOPMENT else BASE_DIR / "staticfiles"
# Installed by npm for the board (package.json). If it is missing, the board loads pusher-js from Pusher's CDN.
PUSHER_JS = BASE_DIR / "node_modules" / "pusher-js" / "dist" / "web"
STATICFILES_DIRS = [("pusher-js", PUSHER_JS)] if PUSHER_JS.is_dir() else []
WHITENOISE_USE_FINDERS = DEVELOPMENT
# Otherwise a file that is edited while the server runs would be truncated to its old length.
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
# Any server with Pusher's protocol, instead of Pusher Channels itself.
PUSHER_HOST = env.str("PUSHER_HOST", default="")
PUSHER_PORT = env.int("PUSHER_PORT", default=443)
PUSHER_SSL = env.bool("PUSHER_SSL", default=True)
PUSHER_TIMEOUT = 5  # seconds for one call to Pusher; only the relay waits for it
REALTIME_RELAY = env.str("REALTIME_RELAY", default="off" if DATABASE_POOLER else "thread")
if REALTIME_RELAY not in ("thread", "off"):
    raise ImproperlyConfigured("REALTIME_RELAY must be 'thread' (the default: web processes send events) or 'off'.")
if REALTIME_RELAY == "thread" and DATABASE_POOLER:
    raise ImproperlyConfigured(
        "REALTIME_RELAY=thread needs sessions, which DATABASE_POOLER=transaction does not give: unset it, and the "
        "worker sends the events."
    )
# For clients that cannot sign in to private channels: no names, contact data, notes (notifications/public_channels.py).
REALTIME_PUBLIC_CHANNELS = env.bool("REALTIME_PUBLIC_CHANNELS", default=False)
# How long missed events can be fetched; ``tick`` deletes older ones.
EVENT_RETENTION_DAYS = env.int("EVENT_RETENTION_DAYS", default=7)
if not 1 <= EVENT_RETENTION_DAYS <= 3650:
    raise ImproperlyConfigured("EVENT_RETENTION_DAYS must be a number of days from 1 to 3650.")

# --- mail to guests ---------------------------------------------------------------------------------------------------

# Guests' mail is queued in the current transaction (notifications/mail.py); the worker sends it.
_provider = env.email_url_config(env.str("EMAIL_URL", default="") or "consolemail://")
EMAIL_BACKEND = _provider["EMAIL_BACKEND"]
EMAIL_HOST = _provider["EMAIL_HOST"] or "localhost"
EMAIL_HOST_USER = _provider["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = _provider["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS = bool(_provider.get("EMAIL_USE_TLS"))
EMAIL_USE_SSL = bool(_provider.get("EMAIL_USE_SSL"))
EMAIL_PORT = _provider["EMAIL_PORT"] or (465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25)
EMAIL_FILE_PATH = _provider["EMAIL_FILE_PATH"] or None
EMAIL_TIMEOUT = 10  # seconds for each SMTP step; only the worker waits for it
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="") or "HotelMate <hotelmate@localhost>"

# --- card payments ----------------------------------------------------------------------------------------------------

# Without a key, bookings with a card payment cannot be approved or declined (503); others can.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
# A fake Stripe, in tests.
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="") or "https://api.stripe.com"
STRIPE_TIMEOUT = 10  # seconds for one call; no lock is held during it
# How many threads of a web process may wait for Stripe at the same time, a quarter of them: further calls return
# 503 PAYMENTS_BUSY. The limit is per process, so each keeps most of its threads free for the front desk, and processes
# share no counter that a killed one could leave wrong.
PAYMENT_CALLS_AT_ONCE = max(1, env.int("WEB_THREADS", default=4) // 4)

# --- monitoring -------------------------------------------------------------------------------------------------------

# The bearer token for /metrics. If unset, /metrics is not served, except in development, where it is open.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if not METRICS_TOKEN.isascii():
    raise ImproperlyConfigured("METRICS_TOKEN has characters that are not allowed in a header: use letters and digits.")

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
        # 4xx responses are the caller's errors and are not logged.
        "django.request": {"handlers": ["console"], "level": "ERROR", "propagate": False},
        # One line per event: useful in a collected log, too much for the terminal of ``make run``.
        "notifications.relay": {"level": env.str("LOG_LEVEL", default="WARNING" if DEVELOPMENT else "INFO")},
        # At INFO it logs each call, and Stripe's reason for refusing a card.
        "stripe": {"handlers": ["console"], "level": "WARNING", "propagate": False},
    },
}
