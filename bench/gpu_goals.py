"""Shapes of the models, the roof of decoding, and the table of goals on a GPU. Standard library only."""

import dataclasses

from runner import table


@dataclasses.dataclass(frozen=True)
class Shape:
    """A Llama model without biases, in bf16."""

    hidden: int
    inter: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool

    @property
    def linear_weights(self):
        """Of all linear layers but the head."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.inter)

    @property
    def head_weights(self):
        return self.hidden * self.vocab

    @property
    def weight_bytes(self):
        """Read by every decode step: linear layers and head, not the input embedding."""
        return 2 * (self.linear_weights + self.head_weights)

    @property
    def kv_bytes(self):
        """Of one cached token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * 2

    def decode_roof(self, ceilings, batch, context):
        """Most tokens a second of a decode step: `batch` sequences that have `context` tokens on average."""
        moved = self.weight_bytes + self.kv_bytes * batch * context
        operations = 2 * (self.linear_weights + self.head_weights) * batch
        operations += 4 * self.layers * self.heads * self.head_dim * batch * context
        return batch / max(moved / (ceilings["copy_gb_per_s"] * 1e9), operations / (ceilings["gemm_tflops"] * 1e12))


SHAPES = {
    "qwen2.5-0.5b": Shape(896, 4864, 24, 14, 2, 64, 151936, True),
    "qwen2.5-1.5b": Shape(1536, 8960, 28, 12, 2, 128, 151936, True),
    "llama-3.2-1b": Shape(2048, 8192, 16, 32, 8, 64, 128256, True),
    "llama-3.1-8b": Shape(4096, 14336, 32, 32, 8, 128, 128256, False),
    "tiny": Shape(64, 128, 2, 4, 2, 16, 512, True),
}

GEMM_TFLOPS = 790  # what the learner's goal is a share of
# Measured on other cards of the name; used, and said so, where the part `ceilings` has not run.
KNOWN_CEILINGS = {"H200": {"copy_gb_per_s": 4300, "gemm_tflops": 790}, "H100": {"copy_gb_per_s": 3000, "gemm_tflops": 790}}

DECODE_GOALS = {1: (47, 62), 32: (35, 55), 256: (31, 50)}  # % of the roof
RAGGED_GOAL = (6, 10)  # times Hugging Face
ADAPTER_GOAL = (5, 2)  # % slower
LEARNER_GOAL = (40, 55)  # % of GEMM_TFLOPS
PEFT_GOAL = (1.5, 2.5)
PEAK_GOAL = (0.6, 0.4)  # of PEFT's peak
GAP_GOAL = (2e-3, 2e-4)  # mean |sampler - learner log-prob|


class Missing(Exception):
    """A figure that a row needs is not there; says why."""


def ceilings_for(results, gpu):
    """(ceilings, whether they were measured); None where the card is not known."""
    found = results.get("ceilings", {})
    if "copy_gb_per_s" in found:
        return found, True
    return next((known for name, known in KNOWN_CEILINGS.items() if name in gpu), None), False


class Table:
    """Rows of metric, ours, peer, ratio, % of roof, goals R and S, and which goal holds."""

    HEADER = ["metric", "ours", "peer", "ratio", "% of roof", "R", "S", "holds"]

    def __init__(self, results, ceilings):
        self.results, self.ceilings, self.rows = results, ceilings, []

    def figure(self, key, name):
        result = self.results.get(key)
        if result is None:
            raise Missing("not run")
        for word in ("failed", "skipped"):
            if word in result:
                raise Missing(f"{word.upper() if word == 'failed' else word}: {result[word]}")
        if name not in result:
            raise Missing(f"no {name}")
        return result[name]

    def figure_or_none(self, key, name):
        try:
            return self.figure(key, name)
        except Missing:
            return None

    def why_not(self, key, name):
        try:
            self.figure(key, name)
        except Missing as missing:
            return str(missing)
        return ""

    def add(self, metric, ours, goal, value, unit, at_most=False, **cells):
        """`value` is what the goal is about; None = it cannot be told. Cells: peer, ratio, roof."""

        def good(bound):
            return value <= bound if at_most else value >= bound

        held = "" if value is None or goal is None else "S" if good(goal[1]) else "R" if good(goal[0]) else "no"
        sign = "<= " if at_most else ""
        bounds = ["", ""] if goal is None else [f"{sign}{bound:g}{unit}" for bound in goal]
        self.rows.append([metric, ours, cells.get("peer", "-"), cells.get("ratio", "-"), cells.get("roof", "-"), *bounds, held])

    def add_row(self, metric, make):
        try:
            make(metric)
        except Missing as missing:
            if str(missing) != "not run":
                self.rows.append([metric, str(missing), *[""] * 6])

    def peer_cells(self, ours, key, name, unit, digits=1, less_is_better=False):
        """(peer's figure, how many times better ours is); None where the peer has none."""
        peer = self.figure_or_none(key, name)
        if peer is None:
            return {"peer": self.why_not(key, name)}, None
        ratio = peer / ours if less_is_better else ours / peer
        return {"peer": f"{peer:.{digits}f}{unit}", "ratio": f"{ratio:.2f}x"}, ratio

    def text(self):
        return table(self.HEADER, self.rows)


def decode_row(rows, model, shape, batch):
    key = f"{model}/generate B={batch} adapter"

    def make(metric):
        ours = rows.figure(key, "tokens_per_s")
        share = None
        if rows.ceilings and (rate := rows.figure_or_none(key, "decode_tokens_per_s")):
            context = rows.figure(key, "prompt_len") + rows.figure(key, "new_tokens") / 2
            share = 100 * rate / shape.decode_roof(rows.ceilings, batch, context)
        cells, _ = rows.peer_cells(ours, f"{model}/hf B={batch}", "tokens_per_s", " tok/s")
        rows.add(metric, f"{ours:.1f} tok/s", DECODE_GOALS.get(batch), share, " %",
                 **cells, roof="-" if share is None else f"{share:.1f}")

    rows.add_row(f"{model} generate B={batch}, rank 16", make)


def adapter_row(rows, model, batch):
    def make(metric):
        on = rows.figure(f"{model}/generate B={batch} adapter", "tokens_per_s")
        off = rows.figure(f"{model}/generate B={batch} base", "tokens_per_s")
        slower = 100 * (off / on - 1)
        rows.add(metric, f"{slower:.1f} %, {on:.1f} of {off:.1f} tok/s", ADAPTER_GOAL, slower, " %", at_most=True)

    rows.add_row(f"{model} adapter on, B={batch}: slower by", make)


def ragged_row(rows, model):
    def make(metric):
        ours = rows.figure(f"{model}/ragged", "tokens_per_s")
        cells, ratio = rows.peer_cells(ours, f"{model}/hf ragged", "tokens_per_s", " tok/s")
        rows.add(metric, f"{ours:.1f} tok/s", RAGGED_GOAL, ratio, "x", **cells)

    rows.add_row(f"{model} ragged rollout, useful tokens", make)


def best_peft(rows, model):
    """The key of the faster of PEFT's settings; any where none has run."""
    keys = [f"{model}/peft {mode}" for mode in ("bf16", "autocast")]
    return max(keys, key=lambda key: rows.figure_or_none(key, "tokens_per_s") or 0)


def learner_rows(rows, model):
    key, peft = f"{model}/learn", best_peft(rows, model)

    def flops(metric):
        rate = rows.figure(key, "tflops_4n")
        share = 100 * rate / GEMM_TFLOPS
        rows.add(metric, f"{rate:.1f} TFLOP/s", LEARNER_GOAL, share, " %", roof=f"{share:.1f}")

    def speed(metric):
        ours = rows.figure(key, "tokens_per_s")
        cells, ratio = rows.peer_cells(ours, peft, "tokens_per_s", f" tok/s ({peft.split()[-1]})")
        rows.add(metric, f"{ours:.1f} tok/s", PEFT_GOAL, ratio, "x", **cells)

    def peak(metric):
        ours = rows.figure(key, "peak_gpu_mib")
        cells, ratio = rows.peer_cells(ours, peft, "peak_gpu_mib", " MiB", 0)
        rows.add(metric, f"{ours:.0f} MiB", PEAK_GOAL, ratio, "x", at_most=True, **cells)

    def head(metric):
        more = rows.figure(key, "peak_gpu_mib") - rows.figure(f"{model}/learn, 1 loss token", "peak_gpu_mib")
        rows.add(metric, f"{more:.0f} MiB", None, None, "")

    rows.add_row(f"{model} learner, 4N accounting, of {GEMM_TFLOPS} TFLOP/s", flops)
    rows.add_row(f"{model} learner against PEFT", speed)
    rows.add_row(f"{model} learner, peak memory against PEFT", peak)
    rows.add_row(f"{model} learner, peak higher with all loss tokens by", head)


def grpo_rows(rows, model):
    key = f"{model}/grpo"

    def iteration(metric):
        ours = rows.figure(key, "step_s_median")
        parts = f"{rows.figure(key, 'rollout_s_median'):.2f} s rollout, {rows.figure(key, 'learner_s_median'):.2f} s learner"
        sequences = rows.figure(key, "groups") * rows.figure(key, "group_size")
        new = rows.figure(key, "new_tokens")
        total = sequences * (rows.figure(key, "prompt_len") + new)
        batches = [(batch, rate) for batch in DECODE_GOALS if (rate := rows.figure_or_none(f"{model}/hf B={batch}", "tokens_per_s"))]
        learning = rows.figure_or_none(best_peft(rows, model), "tokens_per_s")
        cells = {}
        if batches and learning:
            peer = sequences * new / max(batches)[1] + total / learning
            cells = {"peer": f"{peer:.2f} s (from HF's and PEFT's rates)", "ratio": f"{peer / ours:.2f}x"}
        rows.add(metric, f"{ours:.2f} s ({parts})", None, None, "", **cells)

    def gap(metric):
        mean, largest = rows.figure(key, "mean_abs_logprob_diff"), rows.figure(key, "max_abs_logprob_diff")
        rows.add(metric, f"{mean:.2e}, largest {largest:.2e}", GAP_GOAL, mean, "", at_most=True)

    rows.add_row(f"{model} RL iteration", iteration)
    rows.add_row(f"{model} mean abs sampler - learner log-prob", gap)


def make_table(results, models, gpu):
    rows = Table(results, ceilings_for(results, gpu)[0])
    for model in models:
        batches = sorted({int(key.split("B=")[1].split()[0]) for key in results if key.startswith(f"{model}/generate B=")})
        for batch in batches:
            decode_row(rows, model, SHAPES[model], batch)
        for batch in batches:
            adapter_row(rows, model, batch)
        ragged_row(rows, model)
        learner_rows(rows, model)
        grpo_rows(rows, model)
    return rows
