"""A client that writes without pause and remembers what was acknowledged, to find out later what was lost."""
import threading
import time

from kvtest import Redis, RedisError


def slot_of(key):
    crc = 0
    for byte in key.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % 16384


class Client:
    """Follows MOVED and comes back after lost connections."""

    def __init__(self, ports, password):
        self.ports, self.password = ports, password
        self.connections, self.owners = {}, {}

    def _connection(self, port):
        if port not in self.connections:
            self.connections[port] = Redis(port, self.password, timeout=3)  # as a client that does not wait for a frozen one
        return self.connections[port]

    def _learn(self):
        for port in self.ports:
            try:
                for first, last, primary, *_ in self._connection(port).call("CLUSTER", "SLOTS"):
                    for slot in range(first, last + 1):
                        self.owners[slot] = primary[1]
                if len(self.owners) == 16384:
                    return
            except (OSError, RedisError):
                self._forget(port)

    def _forget(self, port):
        connection = self.connections.pop(port, None)
        if connection:
            connection.close()

    def call(self, key, *words):
        """One attempt; False when it did not get through (and perhaps took effect)."""
        slot = slot_of(key)
        if slot not in self.owners:
            self._learn()
        port = self.owners.get(slot, self.ports[0])
        try:
            return True, self._connection(port).call(*words)
        except RedisError as e:
            if str(e).startswith("MOVED"):
                self.owners[slot] = int(str(e).rpartition(":")[2])
            else:
                self.owners.pop(slot, None)
        except OSError:
            self._forget(port)
            self.owners.clear()
        return False, None

    def close(self):
        for port in list(self.connections):
            self._forget(port)


class Writer(threading.Thread):
    """Started by start(); finish() ends it, check() reads everything back."""

    def __init__(self, ports, password):
        super().__init__(daemon=True)
        self.ports, self.password = ports, password
        self.stop_now = threading.Event()
        self.acknowledged = 0
        self.longest_gap = 0.0

    @staticmethod
    def pair(i):
        return "w:%d" % i, "value-%d" % i

    def run(self):
        client, last = Client(self.ports, self.password), time.monotonic()
        while not self.stop_now.is_set():
            key, value = self.pair(self.acknowledged)
            done, _ = client.call(key, "SET", key, value)
            now = time.monotonic()
            if done:
                self.longest_gap, last = max(self.longest_gap, now - last), now
                self.acknowledged += 1
                time.sleep(0.0005)
            else:
                time.sleep(0.01)
        client.close()

    def finish(self):
        self.stop_now.set()
        self.join(30)

    def lost(self):
        """Keys whose acknowledged value is not there."""
        client, lost = Client(self.ports, self.password), []
        for i in range(self.acknowledged):
            key, value = self.pair(i)
            for _ in range(200):
                done, got = client.call(key, "GET", key)
                if done:
                    break
                time.sleep(0.05)
            if not done or got != value:
                lost.append(key)
        client.close()
        return lost
