"""A server for the length of a test."""

import json
import os
import subprocess


class Server:
    """`vecstore serve` on a free port, in a folder of its own."""

    def __init__(self, binary, folder):
        command = [binary, "serve", os.path.join(folder, "db"), "--log-format", "json"]
        command += ["--http", "127.0.0.1:0", "--grpc", "off", "--memtable-bytes-max", "65536"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for line in self.process.stderr:
            line = json.loads(line)
            if line.get("protocol") == "http":
                self.url = "http://" + line["address"]
                return
        raise SystemExit("the server did not start")
