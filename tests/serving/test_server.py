"""The port of the server. Needs the packages of the extra `serve`."""

import socket

import pytest

pytestmark = pytest.mark.serve


def test_an_answer_is_sent_without_waiting_for_the_acknowledgement_of_its_head() -> None:
    from reprocnn.serving.server import listen

    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
