"""A reward in Python: write a function and serve it. README.md beside this file says more.

    from noregret_reward import serve

    def score(item):
        return 1.0 if item.completion.strip() == item.reference else 0.0

    serve(score, name="same", deterministic=True)
"""

import difflib
import json
import os
import socket
import sys
import traceback

CHANNEL = 3  # the descriptor that noregret talks on; stdout and stderr go to the run's log


class Item:
    """What to judge: texts, the task's metadata as a dict, and the reward's options."""

    def __init__(self, raw, options):
        self.id = raw["id"]
        self.prompt = raw["prompt"]
        self.completion = raw["completion"]
        self.reference = raw["reference"]
        self.metadata = raw["metadata"]
        self.finish_reason = raw["finish_reason"]
        self.options = options

    @property
    def is_truncated(self):
        return self.finish_reason != "stop"


def serve(score, name, min_reward=0.0, max_reward=1.0, deterministic=False, options=None):
    """Answers until noregret closes the channel.

    score(item) returns a number from min_reward to max_reward, or (number, {"part": number}). An exception is a
    failure: the sample takes no part, it is not 0. `options` are the known ones with their defaults, given as
    item.options. deterministic=True: equal items get equal scores, so noregret may remember them.
    """
    try:
        channel = socket.socket(fileno=CHANNEL)
    except OSError:
        sys.exit(f"{sys.argv[0]}: to be run by noregret, as in: noregret reward test {sys.argv[0]} --input items.jsonl")
    os.set_inheritable(CHANNEL, False)  # what score() starts must not answer for it
    with channel, channel.makefile("rb") as lines:
        known = dict(options or {})
        for line in lines:
            request = json.loads(line)
            if "items" in request:
                reply = {"results": [_judge(score, Item(raw, known)) for raw in request["items"]]}
            else:
                reply = _greet(request, known)
                reply.setdefault("name", name)
                reply.update(min_reward=min_reward, max_reward=max_reward, deterministic=deterministic)
            reply["nonce"] = request["nonce"]
            channel.sendall(json.dumps(reply).encode() + b"\n")


def _greet(request, known):
    for key, value in request["options"].items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ";"
            return {"error": f"unknown option '{key}'{hint} Known: {', '.join(known) or 'none'}"}
        known[key] = value
    return {}


def _judge(score, item):
    try:
        verdict = score(item)
        reward, parts = verdict if isinstance(verdict, tuple) else (verdict, {})
        reward = None if reward is None else float(reward)
        return {"id": item.id, "reward": reward, "parts": {key: float(value) for key, value in parts.items()}}
    except Exception as error:  # whatever it is, it is this item's failure and no score
        traceback.print_exc()
        return {"id": item.id, "error": f"{type(error).__name__}: {error}", "kind": "failed"}
