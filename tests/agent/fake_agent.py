#!/usr/bin/python3
"""A scripted agent for the client's tests: one connection on a socket, no agent behind it.

    fake_agent.py SOCKET SCRIPT SUBMITTED [KEY]

SCRIPT holds JSON lines. Each line is sent as a message, except {"do": ...}: {"do": "submit"} waits for the request and
writes it to SUBMITTED (and, with KEY, checks its passcode with an encoder of its own); {"do": "expect", "schema": S}
waits for such a message; {"do": "raw", "hex": H} sends bytes as they are; {"do": "uid", "uid": N} gives up root before
the socket is made. "@CHALLENGE@" stands for a fresh challenge. Prints "ready" when it listens; exits 0 when the script
was played to its end.
"""
import errno
import hashlib
import hmac
import json
import os
import signal
import socket
import struct
import sys

CHALLENGE = os.urandom(32)
VERBS = ["broker", "explain", "rights", "history"]


def text(value):
    data = (value or "").encode()
    return struct.pack("<I", len(data)) + data


def canonical(request):
    """The canonical encoding, written from its description and not from the code under test."""
    flags = sum(bit for bit, key in ((1, "dry_run"), (2, "interactive"), (4, "yes")) if request.get(key))
    out = struct.pack("<IB", 1, VERBS.index(request["verb"])) + text(request.get("user"))
    out += struct.pack("<Qq", request["counter"], request.get("timeout", 0)) + text(request.get("cwd"))
    out += struct.pack("<B", flags) + text(request.get("command"))
    arguments = request.get("arguments", [])
    out += struct.pack("<I", len(arguments)) + b"".join(text(a) for a in arguments)
    out += text(request.get("version")) + text(request.get("source")) + text(request.get("reason"))
    options = request.get("options", [])
    out += struct.pack("<I", len(options))
    for option in options:
        out += text(option["name"]) + struct.pack("<?", "value" in option) + text(option.get("value"))
    return out


def receive(peer):
    head = peer.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        sys.exit("the client went away")
    return json.loads(peer.recv(struct.unpack("<I", head)[0], socket.MSG_WAITALL))


def main():
    signal.alarm(30)  # a client that never comes fails its test, and does not hang it
    path, script, submitted = sys.argv[1:4]
    key = open(sys.argv[4], "rb").read() if len(sys.argv) > 4 else None
    lines = [json.loads(line) for line in open(script) if line.strip()]
    if lines and lines[0].get("do") == "uid":
        uid = lines.pop(0)["uid"]
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    os.chmod(path, 0o666)
    server.listen(1)
    print("ready", flush=True)
    peer, _ = server.accept()
    uid = struct.unpack("iII", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
    for line in lines:
        do = line.get("do")
        if do == "submit":
            message = receive(peer)
            with open(submitted, "w") as out:
                json.dump(message, out)
            if key is not None:
                told = CHALLENGE + struct.pack("<I", uid) + canonical(message["request"])
                if hmac.new(key, told, hashlib.sha512).hexdigest() != message["passcode"]:
                    sys.exit("the passcode is not that of this request")
        elif do == "expect":
            message = receive(peer)
            if message["schema"] != line["schema"]:
                sys.exit("expected %s, got %s" % (line["schema"], message["schema"]))
        elif do == "raw":
            peer.sendall(bytes.fromhex(line["hex"]))
        else:
            data = json.dumps(line).replace("@CHALLENGE@", CHALLENGE.hex()).encode()
            peer.sendall(struct.pack("<I", len(data)) + data)
    peer.shutdown(socket.SHUT_WR)


try:
    main()
except (BrokenPipeError, ConnectionResetError):
    pass  # the client has left, which its test judges by the client's exit
except OSError as error:
    if error.errno != errno.ENOTCONN:
        raise
