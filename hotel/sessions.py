"""Keeps the sessions of signed-in browsers in the database, each with its user, so that they can be ended together."""

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db


class SessionStore(db.SessionStore):
    """Django's store; it also records the user, who is otherwise only in the session's encoded data."""

    @classmethod
    def get_model_class(cls) -> Any:
        # Imported late, because the model refers to this store.
        from hotel.models import UserSession

        return UserSession

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        session: Any = super().create_model_instance(data)
        session.user_id = data.get(SESSION_KEY)
        return session
