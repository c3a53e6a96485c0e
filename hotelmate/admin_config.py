"""Which site the admin is."""

from django.contrib.admin.apps import AdminConfig


class HouseAdminConfig(AdminConfig):
    """Django's admin, with ``hotel.admin_site``."""

    default_site = "hotel.admin_site.HouseAdminSite"
