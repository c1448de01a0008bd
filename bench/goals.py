"""The table of goals: which figures are compared, and what holds."""

from runner import Failed, median, table

MODELS = ("tiny-llama", "smollm2-135m")


class Goal:
    """A row: `figure(trial)` gives (ours against peer, what ours is, what the peer is)."""

    def __init__(self, what, trial, figure, realistic, stretch, at_most=False, unit="x"):
        self.what, self.trial, self.figure, self.at_most, self.unit = what, trial, figure, at_most, unit
        self.realistic, self.stretch = realistic, stretch

    def met(self, value):
        def good(bound):
            return value <= bound if self.at_most else value >= bound

        return "S" if good(self.stretch) else "R" if good(self.realistic) else "no"

    def cells(self, trials):
        goal = f"{self.realistic:g}{self.unit}", f"{self.stretch:g}{self.unit}"
        if self.trial not in trials:
            return None
        try:
            value, ours, peer = self.figure(trials[self.trial].sides)
        except Failed as error:
            return {"what": self.what, "R": goal[0], "S": goal[1], "skipped": str(error)}
        return {"what": self.what, "R": goal[0], "S": goal[1], "ratio": value, "unit": self.unit, "met": self.met(value),
                "ours": ours, "peer": peer}


def tokens(peer):
    def figure(sides):
        ours, theirs = sides["ours"].value("tokens_per_s"), sides[peer].value("tokens_per_s")
        return ours / theirs, f"{ours:.1f} tok/s", f"{theirs:.1f} tok/s"

    return figure


def seconds(ours_name, peer, key):
    def figure(sides):
        ours, theirs = sides[ours_name].value(key), sides[peer].value(key)
        return theirs / ours, f"{ours:.3f} s", f"{theirs:.3f} s"

    return figure


def memory(sides):
    ours, theirs = sides["ours"].value("peak_rss_mib"), sides["trl, micro-batch 8"].value("peak_rss_mib")
    return ours / theirs, f"{ours:.0f} MiB", f"{theirs:.0f} MiB"


def adapter(sides):
    turns = [result["turns"] for result in sides["ours, adapter"].chosen()]
    pairs = sum(turn["pairs"] for turn in turns)
    on, off = (median([turn[key] for turn in turns]) for key in ("seconds_on", "seconds_off"))
    return median([turn["slower_by_percent"] for turn in turns]), f"{on:.4f} s on, {pairs} pairs", f"{off:.4f} s off"


def exactness(sides):
    value = max(result["max_abs_logprob_diff"] for result in sides["ours"].chosen())
    return value, f"{value:g} over all loss tokens", "-"


def product(dtype):
    def figure(sides):
        return sides["ours"].value(dtype), f"lowest {sides['ours'].value(dtype + ' lowest'):.2f}x", "best of MKL and oneDNN"

    return figure


def goals(size):
    short = {"tiny-llama": "tiny", "smollm2-135m": "SmolLM2"}
    bounds = {"one": ((8, 15), (4, 7)), "many": ((4, 6), (2.5, 3.5)), "rollout": ((6, 10), (4, 8)), "grpo": ((4, 7), (3.5, 6)),
              "memory": ((0.5, 0.2), (0.4, 0.2))}
    rows = []

    def each(what, trial, figure, bound, **more):
        for index, model in enumerate(MODELS):
            low, high = bounds[bound][index] if isinstance(bound, str) else bound
            rows.append(Goal(f"{what}, {short[model]}", f"{model} {trial}", figure, low, high, **more))

    one, many = "decode B=1", f"decode B={size['batch']}"
    each(f"{one} vs Hugging Face", one, tokens("hf"), "one")
    rows.append(Goal(f"{one} vs llama.cpp bf16, SmolLM2", f"smollm2-135m {one}", tokens("llama.cpp"), 0.9, 1.1))
    rows.append(Goal(f"{many} vs llama.cpp bf16, SmolLM2", f"smollm2-135m {many}", tokens("llama.cpp"), 0.9, 1.2))
    each(f"{many} vs Hugging Face", many, tokens("hf"), "many")
    each(f"rollout {size['ragged'][0]} x {size['ragged'][1]} ragged vs Hugging Face", "rollout", tokens("hf"), "rollout")
    each("learner step vs PEFT, no sharing", "learn", seconds("ours", "peft", "seconds_median"), (1.3, 1.7))
    each("learner step vs PEFT, G=8, prompt = completion", "learn", seconds("ours, shared", "peft", "seconds_median"), (2, 3))
    each("GRPO iteration vs TRL", "grpo", seconds("ours", "trl", "step_s_median"), "grpo")
    each("peak memory vs TRL --micro-batch 8", "grpo", memory, "memory", at_most=True)
    each("sampler - learner log-prob", "grpo", exactness, (0, 0), at_most=True, unit="")
    for dtype in ("bf16", "f32"):
        rows.append(Goal(f"GEMM M=16..64, {dtype} weights, vs library f32 (mean)", "gemm", product(dtype), 0.85, 1.0))
    each(f"adapter on, {one}: slower by", one, adapter, (10, 5), at_most=True, unit=" %")
    each(f"adapter on, {many}: slower by", many, adapter, (10, 5), at_most=True, unit=" %")
    return rows


def print_table(rows):
    cells = []
    for row in rows:
        if "skipped" in row:
            cells.append([row["what"], row["R"], row["S"], "skipped", row["skipped"], "", ""])
            continue
        digits = 3 if row["unit"] == "" else 1 if row["unit"] == " %" else 2
        ratio = f"{row['ratio']:.{digits}f}{row['unit']}"
        cells.append([row["what"], row["R"], row["S"], ratio, row["ours"], row["peer"], row["met"]])
    print(table(["what", "R", "S", "ratio", "ours", "peer", "holds"], cells), flush=True)


def notes(trials):
    """What a reader of the table must know besides."""
    lines = []
    for trial in trials.values():
        sides = trial.sides.values()
        used = [f"{side.name}: {next(iter(side.variants))}" for side in sides if side.variants and "" not in side.variants]
        if used:
            lines.append(f"{trial.name}: best settings {', '.join(used)}")
        busy = [r["busy_cores_before"] for side in trial.sides.values() for results in side.results.values() for r in results]
        if busy and max(busy) > 0.3:
            lines.append(f"{trial.name}: the machine was not quiet, up to {max(busy)} cores were busy before a run")
        if trial.name.endswith("learn"):
            try:
                first = [trial.sides[name].chosen()[0]["loss_first"] for name in ("peft", "ours")]
                lines.append(f"{trial.name}: loss of the first step, PEFT {first[0]:.6f}, ours {first[1]:.6f}")
            except Failed:
                pass
    return lines
