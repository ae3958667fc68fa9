"""A proxy between the shell and one agent: writes down every exchange, and is slow or cuts when told so.

    proxy = Proxy(listen, target)
    proxy.seen                  list of Exchange, in order of their arrival
    proxy.delay = 0.2           seconds before a request is passed on
    proxy.drip = 0.05           seconds between the pieces of an answer, 64 bytes each
    proxy.cut = "before"        connections are closed instead of passing a changing request on
    proxy.cut = "after"         the agent gets it, its answer is lost
    proxy.cut = "middle"        half of the answer is passed on
    proxy.on_change = f         f(method, path) once the agent has answered a changing request; true: nobody gets the answer
"""
import collections
import re
import socket
import threading
import time

HOST = "127.0.0.1"
Exchange = collections.namedtuple("Exchange", "time method path status operation")


def read_message(source):
    """Head and body of one HTTP message, None at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = source.readline(65536)
        if not line:
            return None
        head += line
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    return head, source.read(length) if length else b""


class Proxy:
    def __init__(self, listen, target):
        self.target = target
        self.delay, self.drip, self.cut = 0, 0, None
        self.on_change = None
        self.seen, self.cuts = [], 0
        self.listener = socket.create_server((HOST, listen), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            with client, client.makefile("rb") as requests, \
                    socket.create_connection((HOST, self.target)) as agent, agent.makefile("rb") as answers:
                while self._exchange(client, requests, agent, answers):
                    pass
        except (OSError, ValueError):
            pass

    def _exchange(self, client, requests, agent, answers):
        request = read_message(requests)
        if request is None:
            return False
        method, path = request[0].decode("latin-1").split(" ")[:2]
        began = time.time()
        cut = self.cut if method != "GET" else None
        time.sleep(self.delay)
        if cut == "before":
            self.cuts += 1
            return False
        agent.sendall(b"".join(request))
        answer = read_message(answers)
        status = int(answer[0].split(b" ")[1]) if answer else None
        number = re.search(rb'"operation":\s*(\d+)', answer[1]) if answer else None
        self.seen.append(Exchange(began, method, path, status, int(number.group(1)) if number else None))
        if method != "GET" and self.on_change and self.on_change(method, path):
            cut = "after"
        if answer is None or cut == "after":
            self.cuts += cut is not None
            return False
        data = b"".join(answer)
        if cut == "middle":
            self.cuts += 1
            client.sendall(data[:len(data) // 2])
            return False
        self._send(client, data)
        return True

    def _send(self, client, data):
        if not self.drip:
            client.sendall(data)
            return
        for i in range(0, len(data), 64):
            client.sendall(data[i:i + 64])
            time.sleep(self.drip)
