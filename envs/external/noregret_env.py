"""An environment in Python: write a function and a class and serve them. README.md beside this file says more.

    from noregret_env import serve

    def task(split, index, random, options):
        return {"prompt": "Which number am I thinking of?", "metadata": {"secret": random.randrange(10)}}

    class Episode:
        def __init__(self, task, options):
            self.secret = task["metadata"]["secret"]

        def step(self, text, is_cut):
            return {"terminated": True, "score": float(text.strip() == str(self.secret))}

    serve(task, Episode, name="guess")
"""

import collections
import difflib
import json
import os
import random
import socket
import sys
import traceback

CHANNEL = 3  # the descriptor that noregret talks on; stdout and stderr go to the run's log
KEPT_EPISODES = 4096  # those that were stepped last; another one is played again from its turns


def serve(task, episode=None, name="env", train=None, eval=None, options=None):
    """Answers until noregret closes the channel.

    task(split, index, random, options) returns a dict: "prompt" or "messages", and if you like "reference",
    "metadata" and "demonstration". It must depend on nothing else; `random` is a random.Random of (seed, split, index).
    episode(task, options) makes an attempt at one. Its step(text, is_cut) returns a dict: "score" from 0 to 1, and
    "message" or "messages" to go on, or "terminated" or "truncated": True; if you like "parts" and "stop_reason".
    It must depend on nothing but the task and the texts. No episode: rewards judge the one answer.
    `train` and `eval` are the numbers of tasks, None = without end. `options` are the known ones with their defaults.
    An exception is a failure: the sample takes no part, it is not 0.
    """
    try:
        channel = socket.socket(fileno=CHANNEL)
    except OSError:
        sys.exit(f"{sys.argv[0]}: to be run by noregret: task: {{name: external, plugin: {sys.argv[0]}}}")
    os.set_inheritable(CHANNEL, False)  # what the environment starts must not answer for it
    server = _Server(task, episode, dict(options or {}))
    greeting = {"name": name, "train": train, "eval": eval, "episodes": episode is not None}
    with channel, channel.makefile("rb") as lines:
        for line in lines:
            request = json.loads(line)
            try:
                reply = server.answer(request, greeting)
            except Exception as error:  # whatever it is, it is this request's failure and no score
                traceback.print_exc()
                reply = {"error": f"{type(error).__name__}: {error}"}
            reply["nonce"] = request["nonce"]
            channel.sendall(json.dumps(reply).encode() + b"\n")


class _Server:
    def __init__(self, task, episode, options):
        self.make_task, self.make_episode, self.options = task, episode, options
        self.seed = 0
        self.live = collections.OrderedDict()  # episode id -> (episode, number of its turns)

    def answer(self, request, greeting):
        if "task" in request:
            return dict(self.task(**request["task"]))
        if "step" in request:
            return dict(self.step(**request["step"]))
        self.seed = request["seed"]
        for key, value in request["options"].items():
            if key not in self.options:
                near = difflib.get_close_matches(key, self.options, 1)
                hint = f"; did you mean '{near[0]}'?" if near else ";"
                return {"error": f"unknown option '{key}'{hint} Known: {', '.join(self.options) or 'none'}"}
            self.options[key] = value
        return dict(greeting)

    def task(self, split, index):
        return self.make_task(split, index, random.Random(f"{self.seed} {split} {index}"), self.options)

    def step(self, task, episode, turns, is_cut):
        live, done = self.live.pop(episode, (None, 0))
        if live is None or done != len(turns) - 1:
            live = self.make_episode(self.task(**task), self.options)
            for text in turns[:-1]:
                live.step(text, False)
        result = live.step(turns[-1], is_cut)
        self.live[episode] = (live, len(turns))
        if result.get("terminated") or result.get("truncated") or is_cut:
            del self.live[episode]
        elif len(self.live) > KEPT_EPISODES:
            self.live.popitem(last=False)
        return result
