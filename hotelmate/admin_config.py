"""Which site the admin is."""

from django.contrib.admin.apps import AdminConfig


class HotelAdminConfig(AdminConfig):
    """Django's admin, with ``operations.admin_site``."""

    default_site = "operations.admin_site.HotelAdminSite"
