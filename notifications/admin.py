"""Takes django-mailer's pages out of the admin: they let one edit stored mails, which the worker unpickles."""

from django.contrib import admin
from mailer.models import DontSendEntry, Message, MessageLog

admin.site.unregister([Message, MessageLog, DontSendEntry])
