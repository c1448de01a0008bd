"""An example of several turns: a story goes on, and each turn asks for the count so far. Score: the share of right answers."""

from noregret_env import serve


def task(split, index, random, options):
    while True:
        steps = [random.randint(1, 9) for _ in range(options["turns"] + 1)]
        if ((3 * steps[0] + steps[1]) % 5 == 0) == (split == "eval"):  # no prompt in both splits, but answers
            break
    return {"prompt": f"Tom has {steps[0]} pens. He buys {steps[1]} more. How many pens does he have?\n", "metadata": {"steps": steps}}


class Episode:
    def __init__(self, task, options):
        self.steps, self.turn, self.right = task["metadata"]["steps"], 0, 0

    def step(self, text, is_cut):
        self.turn += 1
        self.right += text.rpartition("####")[2].strip() == str(sum(self.steps[: self.turn + 1]))
        turns = len(self.steps) - 1
        reply = {"score": self.right / turns, "parts": {"right": self.right}}
        if self.turn == turns:
            return {**reply, "terminated": True}
        return {**reply, "message": f"He buys {self.steps[self.turn + 1]} more. How many pens does he have?\n"}


serve(task, Episode, name="story", options={"turns": 2})
