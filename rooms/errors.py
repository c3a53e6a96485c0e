"""Errors about rooms that services of several apps raise."""

from common.errors import Conflict, NotFound


class RoomNotFound(NotFound):
    code = "ROOM_NOT_FOUND"


class RoomOccupied(Conflict):
    """A physical fact: a guest is in house."""

    code = "ROOM_OCCUPIED"
