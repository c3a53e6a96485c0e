from django.apps import AppConfig


class RoomBookingsConfig(AppConfig):
    name = "room_bookings"
    verbose_name = "Bookings"
