"""A proxy between the program and a broker: what a network does to a connection, on command.

    proxy = Proxy(target_port)         # listens on proxy.port until proxy.close()
    proxy.cut()                        # every connection breaks, new ones are refused
    proxy.stall()                      # bytes are taken and go nowhere, as behind a dead switch
    proxy.slow(0.02, 7)                # each piece waits, and is at most so many bytes long
    proxy.mend()                       # connections pass again (those of a stall come alive)

One thread a direction; a connection that is broken on one side is broken on the other."""
import socket
import threading


class Proxy:
    PASS, CUT, STALL, SLOW = "pass", "cut", "stall", "slow"

    def __init__(self, target_port):
        self.target_port = target_port
        self.changed = threading.Condition()
        self.mode, self.delay, self.piece = self.PASS, 0.0, 65536
        self.closed = False
        self.connections = set()
        self.passed = self.held = 0     # bytes; pieces that a stall has held up
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.mode == self.CUT:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                client.close()
                continue
            with self.changed:
                self.connections |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        try:
            while True:
                data = source.recv(self.piece)
                if not data:
                    break
                with self.changed:
                    self.held += self.mode == self.STALL
                    self.changed.wait_for(lambda: self.mode != self.STALL or self.closed)
                    if self.mode == self.SLOW:      # nobody wakes it: this is the delay
                        self.changed.wait_for(lambda: self.mode != self.SLOW or self.closed, self.delay)
                    self.passed += len(data)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            self.drop(end)

    def drop(self, connection):
        with self.changed:
            self.connections.discard(connection)
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()

    def set(self, mode, delay=0.0, piece=65536):
        with self.changed:
            self.mode, self.delay, self.piece = mode, delay, piece
            self.changed.notify_all()

    def cut(self):
        self.set(self.CUT)
        for connection in list(self.connections):
            self.drop(connection)

    def stall(self):
        self.set(self.STALL)

    def slow(self, delay, piece):
        self.set(self.SLOW, delay, piece)

    def mend(self):
        self.set(self.PASS)

    def close(self):
        self.closed = True
        self.cut()
        self.listener.close()
