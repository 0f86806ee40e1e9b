"""A server for the length of a test."""

import json
import os
import subprocess


class Server:
    """`vecstore serve` on a free port, in a folder of its own."""

    def __init__(self, binary, folder):
        command = [binary, "serve", os.path.join(folder, "db"), "--log-format", "json"]
        command += ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--memtable-bytes-max", "65536"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        ports = {}
        for line in self.process.stderr:
            line = json.loads(line)
            if line.get("message") == "listening":
                ports[line["protocol"]] = line["address"]
            if len(ports) == 2:
                self.url = "http://" + ports["http"]
                self.grpc_port = int(ports["grpc"].rsplit(":", 1)[1])
                return
        raise SystemExit("the server did not start")

    def how(self, transport):
        """Arguments of `QdrantClient` for "REST" or "gRPC"."""
        return {"url": self.url, "grpc_port": self.grpc_port, "prefer_grpc": transport == "gRPC"}
