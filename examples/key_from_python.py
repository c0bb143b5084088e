#!/usr/bin/env python3
"""Asks aipassd for a key over its Unix socket, with nothing but the standard library.

Usage: key_from_python.py [provider]

Messages are JSON, each followed by a form feed. docs/protocol.md describes them.
"""
import json
import os
import pathlib
import socket
import sys


def socket_path():
    if folder := os.environ.get("AIPASSD_RUNTIME_DIR"):
        return pathlib.Path(folder) / "aipassd.sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    path = pathlib.Path(runtime) / "aipassd" / "aipassd.sock"
    return path if path.exists() else recorded_socket_path() or path


def recorded_socket_path():
    """Returns the path that the daemon's last run recorded: cron, su and macOS have no runtime folder."""
    home = pathlib.Path.home()
    if folder := os.environ.get("AIPASSD_STATE_DIR"):
        state = pathlib.Path(folder)
    elif sys.platform == "darwin":
        state = home / "Library/Application Support/aipassd"
    else:
        state = pathlib.Path(os.environ.get("XDG_STATE_HOME") or home / ".local/state") / "aipassd"
    try:
        return pathlib.Path(json.loads((state / "last-run.json").read_text())["socket"])
    except (OSError, ValueError, KeyError):
        return None


def messages(connection):
    buffer = b""
    while chunk := connection.recv(65536):
        buffer += chunk
        *whole, buffer = buffer.split(b"\f")
        yield from (json.loads(message) for message in whole)


def send(connection, kind, data):
    connection.sendall(json.dumps({"type": kind, "data": data}).encode() + b"\f")


with socket.socket(socket.AF_UNIX) as connection:
    path = socket_path()
    try:
        connection.connect(str(path))
    except OSError as error:
        sys.exit(f"no aipassd at {path}: {error.strerror}\n  start it: aipassd run")
    send(connection, "hello", {"protocol": 1, "caller": "example-python", "client": "example/1.0"})
    params = {"provider": sys.argv[1]} if len(sys.argv) > 1 else {}
    send(connection, "request", {"id": 1, "op": "key.get", "params": params})
    for message in messages(connection):
        if message["type"] == "reply":
            key = message["data"]["result"]["key"]
            print(f"the key has {len(key)} characters and ends with {key[-4:]}")
            break
        if message["type"] == "error":
            error = message["data"]["error"]
            sys.exit(f"{error['code']}: {error['message']}\n  {error.get('hint', '')}")
