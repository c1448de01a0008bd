"""A reward that does on its channel what the completion says. Without the helper, which would not let it."""

import json
import os
import socket
import sys
import time

channel = socket.socket(fileno=3)
lines = channel.makefile("rb")


def send(reply):
    channel.sendall(json.dumps(reply).encode() + b"\n")


def results(items, reward=0.5):
    return [{"id": item["id"], "reward": reward, "parts": {"words": 2}} for item in items]


def answer(request):
    nonce, items = request["nonce"], request["items"]
    what = items[0]["completion"]
    reply = {"nonce": nonce, "results": results(items)}
    first = reply["results"][0]
    if what == "too few":
        reply["results"].pop()
    elif what == "too many":
        reply["results"].append(first)
    elif what == "wrong id":
        first["id"] = "another"
    elif what == "no id":
        del first["id"]
    elif what in ("nan", "inf"):
        first["reward"] = float(what)
    elif what == "null":
        first["reward"] = None
    elif what == "text":
        first["reward"] = "1.0"
    elif what == "true":
        first["reward"] = True
    elif what == "nothing":
        del first["reward"]
    elif what == "too high":
        first["reward"] = 1.5
    elif what == "nan part":
        first["parts"] = {"x": float("nan")}
    elif what == "bad part":
        first["parts"] = {"a/b": 1.0}
    elif what == "error":
        reply["results"][0] = {"id": items[0]["id"], "error": "cannot tell\nat all"}
    elif what == "no results":
        del reply["results"]
    elif what == "a list":
        reply = []
    elif what == "wrong nonce":
        reply["nonce"] = "0" * 32
    elif what == "no json":
        channel.sendall(b"what?\n")
        return
    elif what == "no line feed":
        channel.sendall(json.dumps(reply).encode())
        return
    elif what == "twice":
        send(reply)
    elif what == "endless line":
        while True:
            channel.sendall(b"x" * 65536)
    elif what == "exit":
        sys.exit(3)
    elif what == "sleep":
        time.sleep(1000)
    elif what == "close":
        lines.close()
        channel.close()
        time.sleep(1000)
    elif what == "deep":
        channel.sendall(b"[" * 100000 + b"\n")
        return
    elif what == "environment":
        print(sorted(os.environ), flush=True)
    elif what == "stdin":
        print("stdin:", repr(sys.stdin.read()), flush=True)
    elif what == "metadata":
        first["reward"] = items[0]["metadata"]["level"]
    send(reply)


for line in lines:
    message = json.loads(line)
    if "items" in message:
        answer(message)
    else:
        send({"nonce": message["nonce"], "name": "hostile", "min_reward": 0, "max_reward": 1})
