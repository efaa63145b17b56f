# Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
"""A server that stops answering: ``stalling_server.py FOLDER LIMIT``.

Prints its port. Answers ranges until it has sent LIMIT bytes of content,
then keeps the connection open and is silent. A process of its own, because
GDAL holds Python's lock while it opens a file.
"""

import socket
import sys
import threading
from pathlib import Path


class Silent(Exception):
    """The limit is reached."""


class Server:
    def __init__(self, folder, limit):
        self.folder, self.left = Path(folder), limit
        self.forever = threading.Event()

    def run(self):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            print(listener.getsockname()[1], flush=True)
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self.serve, args=(connection, ),
                                 daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile('rb') as lines:
            try:
                while self.answer(connection, lines):
                    pass
            except Silent:
                self.forever.wait()

    def answer(self, connection, lines):
        request = lines.readline().decode().split()
        fields = {}
        while line := lines.readline().decode().strip():
            name, _, value = line.partition(':')
            fields[name.lower()] = value.strip()
        if len(request) < 2:
            return False
        path = self.folder / request[1].lstrip('/')
        if not path.is_file():
            connection.sendall(b'HTTP/1.1 404 Not Found\r\n'
                               b'Content-Length: 0\r\n\r\n')
            return True
        size = path.stat().st_size
        first, last, status = 0, size - 1, '200 OK'
        if 'range' in fields:
            bounds = fields['range'].partition('=')[2].split('-')
            first, last = int(bounds[0]), min(int(bounds[1]), size - 1)
            status = '206 Partial Content'
        head = (f'HTTP/1.1 {status}\r\nAccept-Ranges: bytes\r\n'
                f'Content-Range: bytes {first}-{last}/{size}\r\n'
                f'Content-Length: {last - first + 1}\r\n\r\n')
        connection.sendall(head.encode())
        if request[0] == 'HEAD':
            return True
        content = path.read_bytes()[first:last + 1][:self.left]
        connection.sendall(content)
        self.left -= len(content)
        if len(content) < last - first + 1:
            raise Silent
        return True


if __name__ == '__main__':
    Server(sys.argv[1], int(sys.argv[2])).run()
