"""Configures the admin to use HotelMate's own admin site."""

from django.contrib.admin.apps import AdminConfig


class HotelAdminConfig(AdminConfig):
    """Django's admin, with ``operations.admin_site``."""

    default_site = "operations.admin_site.HotelAdminSite"
