"""The board's page and its state."""

from django.test import Client


def test_page(hotel, manager, statements):
    client = Client()
    client.force_login(manager.user)
    with statements() as made:
        answer = client.get("/board/grand/")
    assert answer.status_code == 200
    assert len(made) == 6, made.sql()
    print(answer.headers, answer.content.decode())
    assert client.get("/board/grand/state/").status_code == 200
    assert client.get("/board/grand/turn-times/").status_code == 200
    assert client.get("/board/sign-in/").status_code == 200
    assert client.get("/board/other/").status_code == 403
    assert client.get("/board/").status_code == 302
