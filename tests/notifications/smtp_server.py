"""A minimal fake SMTP server that stores mails, and can refuse, hang and pause."""

import socketserver
import threading
from collections.abc import Mapping, Sequence
from email import message_from_string, policy
from email.message import Message


class MailServer(socketserver.ThreadingTCPServer):
    """``answers`` maps a verb (``RCPT``, ``AUTH``, ``END`` of a mail) to its replies, for the first
    time, the second, …; after those it succeeds. If it ``hangs``, it does not reply to the mail; if it ``pauses_at`` a
    verb, it waits there the first time until ``go_on`` is set."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        *,
        port: int = 0,
        hangs: bool = False,
        pauses_at: str = "",
        answers: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.received: list[str] = []
        self.hanging = threading.Event()
        self.paused, self.go_on = threading.Event(), threading.Event()
        self.over = threading.Event()
        self.hangs, self.pauses_at = hangs, pauses_at
        self.answers = {verb: list(lines) for verb, lines in (answers or {}).items()}
        super().__init__(("127.0.0.1", port), MailConversation)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"

    @property
    def mails(self) -> list[Message]:
        """The received mails, parsed."""
        return [message_from_string(text, policy=policy.default) for text in self.received]

    @property
    def subjects(self) -> list[str]:
        """The subjects of the mails, without the hotel."""
        return [str(mail["Subject"]).partition("] ")[2] for mail in self.mails]

    def answer(self, verb: str) -> str:
        """The reply to a verb."""
        if verb == self.pauses_at and not self.paused.is_set():
            self.paused.set()
            self.go_on.wait(60)
        return self.answers[verb].pop(0) if self.answers.get(verb) else "250 fine"

    def close(self) -> None:
        self.over.set()
        self.go_on.set()
        self.shutdown()
        self.server_close()


class MailConversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        greeting = self.server.answer("CONNECT").replace("250 fine", "220 ready")
        self.say(greeting)
        while line := self.rfile.readline().decode().strip().upper():
            verb = line.replace(":", " ").split()[0]
            if verb == "QUIT":
                self.say("221 bye")
            elif verb == "DATA":
                self.data()
            else:
                self.say(self.server.answer(verb))

    def data(self) -> None:
        answer = self.server.answer("DATA")
        if answer != "250 fine":
            self.say(answer)
            return
        self.say("354 go on")
        text = ""
        while (part := self.rfile.readline().decode()) != ".\r\n":
            text += part
        if self.server.hangs:
            self.server.hanging.set()
            self.server.over.wait(60)
            return
        answer = self.server.answer("END")
        if answer.startswith("2"):
            self.server.received.append(text)
        self.say(answer)

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
