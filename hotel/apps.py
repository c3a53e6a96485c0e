from django.apps import AppConfig


class HotelConfig(AppConfig):
    name = "hotel"
    verbose_name = "Hotel and staff"
