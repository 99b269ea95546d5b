"""A service that receives messages over HTTP."""

from __future__ import annotations

import json
import queue
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def nothing(_text):
    """Refuse nothing."""
    return False


@contextmanager
def web(refuses=nothing):
    """Receive JSON posts; yields an Apprise address and the queue of what was taken.

    Args:
        refuses: returns True for the body of a post that is not taken.
    """
    came = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            refused = refuses(body)
            if not refused:
                came.put(json.loads(body))
            self.send_response(400 if refused else 200)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"json://127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()
