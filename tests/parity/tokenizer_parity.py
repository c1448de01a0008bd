"""Compares `noregret tokenize` with Hugging Face tokenizers and jinja2: ids, decoded text, added tokens, conversations.

    python tokenizer_parity.py --noregret build/noregret --models models [--strings 100000]

SmolLM2's own tokenizer (DIR/smollm2-135m, skipped with a note where it is not there) and small ones trained here with the settings of
SmolLM2, Llama 3 and Qwen2, one of them with added tokens of every kind. Strings are random mixtures over the code points of Unicode 12, a
function of the seed. Prints a line for each comparison and exits with 1 on any difference.
Needs tokenizers 0.23, jinja2 3.1 and Python 3.11.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizer_families as families
from tokenizers import Tokenizer

SEED = 20252
VOCAB_SIZE = 4000
CHAT_TEMPLATES = {"smollm2": ["smollm2", "chatml"], "llama3": ["llama3"], "qwen2": ["chatml"], "odd": []}


class Checker:
    def __init__(self, noregret, work, num_strings):
        self.noregret = str(noregret)
        self.work = work
        self.num_strings = num_strings
        self.num_failures = 0

    def run(self, folder, rows, key, *flags):
        file = self.work / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = subprocess.run([self.noregret, "tokenize", str(folder), "--input", str(file), *flags],
                              capture_output=True, encoding="utf-8", check=False)
        lines = done.stdout.split("\n")[:-1]
        if done.returncode != 0 or len(lines) != len(rows):
            bad = next((line for line in lines if "error" in line[:9]), "")
            sys.exit(f"noregret tokenize: exit code {done.returncode}, {len(lines)} of {len(rows)} lines: {done.stderr.strip()} {bad}")
        return [json.loads(line)[key] for line in lines]

    def compare(self, what, inputs, got, want):
        different = [case for case in zip(inputs, got, want) if case[1] != case[2]]
        self.num_failures += len(different)
        print(f"{what}: {len(inputs) - len(different)} of {len(inputs)}", flush=True)
        for item, ours, theirs in different[:3]:
            print(f"    {ascii(item)[:400]}\n    noregret {ascii(ours)[:400]}\n    want     {ascii(theirs)[:400]}")

    def ids(self, what, folder, tokenizer, strings, *flags):
        tokenizer.encode_special_tokens = "--special" not in flags
        want = [encoding.ids for encoding in tokenizer.encode_batch_fast(strings, add_special_tokens="--bos" in flags)]
        got = self.run(folder, [{"text": string} for string in strings], "ids", *flags)
        self.compare(what, strings, got, want)
        return want

    def texts(self, what, folder, tokenizer, all_ids):
        want = tokenizer.decode_batch(all_ids, skip_special_tokens=False)
        self.compare(what, all_ids, self.run(folder, [{"ids": ids} for ids in all_ids], "text", "--decode"), want)

    def check(self, name, folder, seed):
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        source = families.Strings(seed)
        strings = [source.string() for _ in range(self.num_strings)]
        all_ids = self.ids(f"tokenizer {name}", folder, tokenizer, strings)
        self.texts(f"  {name}: decode(encode(x))", folder, tokenizer, all_ids)
        few = self.num_strings // 5
        rng = random.Random(seed)
        known = sorted(tokenizer.get_vocab().values())
        pieces = [[rng.choice(known) for _ in range(rng.randint(0, 12))] for _ in range(few)]
        self.texts(f"  {name}: decode of random ids", folder, tokenizer, pieces)
        source = families.Strings(seed + 1, families.added_contents(tokenizer) * 3 + ["<|im_", "<|", "|>", "<thin"])
        source.part = lambda part=source.part: source.random.choice(source.specials) if source.random.random() < 0.3 else part()
        strings = [source.string() for _ in range(few)]
        self.ids(f"  {name}: added tokens, control tokens as text", folder, tokenizer, strings)
        self.texts(f"  {name}: added tokens, decoded", folder, tokenizer,
                   self.ids(f"  {name}: added tokens, --special", folder, tokenizer, strings, "--special"))
        self.ids(f"  {name}: --bos --special", folder, tokenizer, strings, "--bos", "--special")

    def check_chat(self, name, folder, template, bos_token, seed):
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        source = families.Strings(seed)
        conversations = [source.conversation() for _ in range(self.num_strings // 20)]
        rendered = [families.render(template, messages, False, bos_token) for messages in conversations]
        want = [encoding.ids for encoding in tokenizer.encode_batch_fast(rendered, add_special_tokens=False)]
        got = self.run(folder, [{"messages": messages} for messages in conversations], "ids", "--chat")
        self.compare(f"  {name}: conversations", conversations, got, want)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noregret", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--strings", type=int, default=100000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        checker = Checker(args.noregret.resolve(), work, args.strings)
        smollm2 = args.models.resolve() / "smollm2-135m"
        if (smollm2 / "tokenizer.json").exists():
            checker.check("SmolLM2", smollm2, SEED)
            config = json.loads((smollm2 / "tokenizer_config.json").read_text())
            checker.check_chat("SmolLM2", smollm2, config["chat_template"], "", SEED)
        else:
            print(f"SmolLM2: skipped, {smollm2} is not there (make models fetches it)")
        lines = families.corpus(SEED, 3000)
        for name, make in families.FAMILIES.items():
            tokenizer, config = make(lines, VOCAB_SIZE)
            folder = work / name
            families.save(folder, tokenizer, config)
            checker.check(f"{name}, trained here", folder, SEED + len(name))
            for template in CHAT_TEMPLATES[name]:
                families.save(folder, tokenizer, config, families.TEMPLATES[template])
                checker.check_chat(f"{name} with {template}", folder, families.TEMPLATES[template], config["bos_token"] or "", SEED)
    print("no differences" if checker.num_failures == 0 else "there are differences")
    sys.exit(1 if checker.num_failures else 0)


if __name__ == "__main__":
    main()
