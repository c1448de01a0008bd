"""Compares log-probs of `noregret score` with transformers and PEFT in f32, on random tiny models and on SmolLM2-135M.

    python model_parity.py --noregret build/noregret --models models

For each model: the base; an adapter made by PEFT and scored here; an adapter trained and exported here and loaded by PEFT; the same
merged by `noregret export --merge` and loaded by transformers. Prints the largest difference of each and exits with 1 above 1e-4:
two orders of summation in f32 differ by 1e-6 to 1e-5 on these models, an error in the maths by far more.
Needs torch, transformers, peft. DIR/smollm2-135m is skipped, with a note, where it is not there.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import peft
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

TOLERANCE = 1e-4
SEED = 7
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
TOKENIZER = pathlib.Path(__file__).resolve().parents[2] / "configs" / "quickstart" / "base"
TINY_VOCAB = 264  # the character tokenizer's ids, padded

TINY = {
    "tied": dict(tie_word_embeddings=True),
    "untied": dict(num_key_value_heads=4),
    "one_kv_head_wide": dict(num_key_value_heads=1, head_dim=20),
    "llama3_rope": dict(rope_parameters=dict(rope_type="llama3", rope_theta=1e4, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                             original_max_position_embeddings=64)),
    "yarn_rope": dict(rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=64)),
}

TRAIN_CONFIG = """\
mode: sft
seed: 1
device: cpu
model: {{path: {model}, chat_template: none}}
adapter: {{rank: 3, alpha: 20}}
data: {{path: {data}, batch_size: 4}}
optimizer: {{lr: 1e-2}}
train: {{steps: 3, save_every: 3}}
eval: {{every: 0}}
"""


def make_tiny(folder, changes, generator):
    config = dict(vocab_size=TINY_VOCAB, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=256, bos_token_id=None, eos_token_id=0)
    model = LlamaForCausalLM(LlamaConfig(**{**config, **changes}))
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.25
    model.save_pretrained(folder)
    for file in TOKENIZER.iterdir():
        shutil.copy(file, folder)


def sequences(vocab_size, generator):
    return [torch.randint(3, vocab_size, (length,), generator=generator).tolist() for length in (200, 64, 17, 2)]


@torch.no_grad()
def reference(model, all_ids):
    scores = []
    for ids in all_ids:
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].double()
        scores.append(logits.log_softmax(-1).gather(1, torch.tensor(ids[1:]).unsqueeze(1)).squeeze(1))
    return scores


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


class Checker:
    def __init__(self, noregret, work):
        self.noregret = str(noregret)
        self.work = work
        self.worst = 0.0

    def run(self, *args):
        done = subprocess.run([self.noregret, *map(str, args)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"noregret {' '.join(map(str, args))}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def compare(self, what, all_ids, want, model, adapter=None):
        file = self.work / "ids.jsonl"
        file.write_text("".join(json.dumps({"ids": ids}) + "\n" for ids in all_ids))
        lines = self.run("score", model, "--input", file, "--device", "cpu", *(["--adapter", adapter] if adapter else [])).splitlines()
        if len(lines) != len(all_ids):
            sys.exit(f"{what}: {len(lines)} lines out, want {len(all_ids)}")
        difference = 0.0
        for line, ids, scores in zip(lines, all_ids, want):
            got = json.loads(line)
            if got["ids"] != ids or len(got["logprobs"]) != len(ids) - 1:
                sys.exit(f"{what}: ids or the number of log-probs differ")
            gap = (torch.tensor(got["logprobs"], dtype=torch.float64) - scores).abs().max().item()
            difference = max(difference, gap if gap == gap else float("inf"))
        print(f"{what:55s} {difference:.2e}", flush=True)
        self.worst = max(self.worst, difference)

    def train(self, name, model):
        rows = [{"prompt": f"{i} + {i} = ", "completion": f"{2 * i}"} for i in range(8)]
        data = self.work / "rows.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        config = self.work / f"{name}.yaml"
        config.write_text(TRAIN_CONFIG.format(model=model, data=data))
        run = self.work / f"run_{name}"
        self.run("train", config, "--run-dir", run)
        return run

    def check(self, name, model, generator):
        base = load(model)
        all_ids = sequences(min(base.config.vocab_size, 40000), generator)
        self.compare(f"{name}: base", all_ids, reference(base, all_ids), model)

        adapted = peft.get_peft_model(base, peft.LoraConfig(r=3, lora_alpha=20, target_modules=TARGETS, task_type="CAUSAL_LM")).eval()
        for key, parameter in sorted(adapted.named_parameters()):
            if "lora_" in key:
                std = 0.5 / parameter.shape[1] ** 0.5 if "lora_A" in key else 0.02
                parameter.data = torch.randn(parameter.shape, generator=generator) * std
        made_by_peft = self.work / f"peft_{name}"
        adapted.save_pretrained(made_by_peft)
        self.compare(f"{name}: adapter by PEFT, scored here", all_ids, reference(adapted, all_ids), model, made_by_peft)

        run = self.train(name, model)
        exported, merged = self.work / f"adapter_{name}", self.work / f"merged_{name}"
        self.run("export", run, exported)
        self.run("export", run, merged, "--merge", "--dtype", "f32")
        loaded = peft.PeftModel.from_pretrained(load(model), exported).eval()
        self.compare(f"{name}: adapter exported, loaded by PEFT", all_ids, reference(loaded, all_ids), model, exported)
        scores = reference(load(merged), all_ids)
        self.compare(f"{name}: merged, loaded by transformers", all_ids, scores, model, exported)
        self.compare(f"{name}: merged, scored here", all_ids, scores, merged)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noregret", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    args = parser.parse_args()
    generator = torch.Generator().manual_seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        checker = Checker(args.noregret.resolve(), work)
        for name, changes in TINY.items():
            make_tiny(work / name, changes, generator)
            checker.check(name, work / name, generator)
        smollm2 = args.models.resolve() / "smollm2-135m"
        if (smollm2 / "config.json").exists():
            checker.check("smollm2-135m", smollm2, generator)
        else:
            print(f"smollm2-135m: skipped, {smollm2} is not there (make models fetches it)")
    print(f"largest difference {checker.worst:.2e}, allowed {TOLERANCE:.0e}")
    sys.exit(1 if checker.worst > TOLERANCE else 0)


main()
