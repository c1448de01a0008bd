#!/usr/bin/env python3
"""Gates the grader on labelled cases, and times it beside Math-Verify on the same pairs.

    bench/grade_compare.py --cases DIR [--noregret build/noregret] [--list]
    bench/grade_compare.py --cases DIR --time 1000 --python VENV/bin/python    # VENV has math-verify

DIR holds NAME.dev.jsonl or .jsonl.gz files of lines {"gold", "prediction", "expected", "kind", ["policy"], ["label_suspect"]}.
Prints a Markdown table of false accepts and false rejects by file, with --list every disagreement, and exits with 1 where a gate
is missed. A pair is timed in one process for each grader, parsing included, start-up not.
"""

import argparse
import gzip
import json
import pathlib
import random
import re
import statistics
import subprocess
import sys

COMPLETIONS = {"areal", "gsm8k_openai_samples", "issue_reports", "lighteval", "math_verify", "nemo_rl", "open_instruct", "open_r1",
               "skyrl_gsm8k", "slime", "trl", "verifiers"}
REDUCED = {"hendrycks_math", "tinker_cookbook", "slime"}
GATES = {"gsm8k_openai_samples": 1.0, "math_gold_pairs": 0.998, "probes": 0.97, "hendrycks_math": 0.95, "tinker_cookbook": 0.95,
         "slime": 0.95, "math_verify": 0.85}
PARSE_GATE = 0.95
# The commands that occur in MATH's gold answers.
MATH_COMMANDS = set("approx begin cfrac circ cos cot csc cup dfrac end frac in infty le left leq log mathbf mbox overline phantom pi "
                    "pm right sec sin sqrt tan text textnormal tfrac theta triangle alpha".split()) | set("!$%,;{}")

PEER = """
import json, sys, time
from math_verify import parse, verify
for line in sys.stdin:
    row = json.loads(line)
    begin = time.perf_counter()
    try:
        gold, answer = parse("$" + row["gold"] + "$"), parse("$" + row["prediction"] + "$")
        verdict = verify(gold, answer)
    except Exception:
        verdict = False
    print(json.dumps({"micros": 1e6 * (time.perf_counter() - begin), "equal": bool(verdict)}), flush=True)
"""


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=pathlib.Path, required=True)
    parser.add_argument("--noregret", default="build/noregret")
    parser.add_argument("--list", action="store_true", help="every disagreement with its verdict")
    parser.add_argument("--time", type=int, default=0, metavar="N", help="time N pairs beside Math-Verify")
    parser.add_argument("--python", default="python3", help="an interpreter that has math-verify")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def read(path):
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sources(folder):
    return {path.name.split(".")[0]: path for path in sorted(folder.iterdir()) if ".jsonl" in path.name}


def grade(program, pairs, flags):
    lines = "".join(json.dumps({"gold": gold, "prediction": prediction}) + "\n" for gold, prediction in pairs)
    done = subprocess.run([program, "grade", "--input", "-", *flags], input=lines, capture_output=True, text=True)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    if len(verdicts) != len(pairs):
        sys.exit(f"{program}: {len(verdicts)} verdicts for {len(pairs)} pairs; {done.stderr.strip()}")
    return verdicts


def is_policy(row):
    return row["expected"] is None or bool(row.get("policy")) or bool(row.get("label_suspect"))


def judge(args, name, rows):
    """One line of the table, and the disagreements."""
    flags = ["--from", "completion" if name in COMPLETIONS else "answer"]
    if name in REDUCED:
        flags += ["--set", "require_reduced=true"]
    rows = [row for row in rows if row["kind"] == "grade" and not is_policy(row)]
    verdicts = grade(args.noregret, [(row["gold"], row["prediction"]) for row in rows], flags)
    wrong = [(row, verdict["verdict"]) for row, verdict in zip(rows, verdicts)
             if row["expected"] != (verdict["verdict"] == "equal")]
    accepts = sum(1 for _, verdict in wrong if verdict == "equal")
    share = 1 - len(wrong) / max(len(rows), 1)
    failures = sum(1 for verdict in verdicts if verdict["verdict"] in ("timeout", "crashed"))
    micros = sorted(verdict["micros"] for verdict in verdicts)
    is_met = accepts == 0 and failures == 0 and share >= GATES.get(name, 0.0)
    gate = f"{100 * GATES[name]:.1f} %" if name in GATES else ""
    print(f"| {name} | {len(rows)} | {accepts} | {len(wrong) - accepts} | {100 * share:.1f} % | {gate} | "
          f"{statistics.median(micros):.0f} | {micros[-1] / 1000:.0f} | {'yes' if is_met else 'NO'} |")
    return is_met, [(name, verdict, row) for row, verdict in wrong]


def judge_parsing(args, name, rows):
    """How many strings of MATH's commands the parser reads: each is graded against itself."""
    commands = lambda text: set(re.findall(r"\\([a-zA-Z]+|.)", text))
    rows = [row for row in rows if row["kind"] == "parse" and commands(row["prediction"]) <= MATH_COMMANDS
            and not re.search(r"begin\{(?!pmatrix)", row["prediction"])]
    if not rows:
        return True
    itself = grade(args.noregret, [(row["prediction"], row["prediction"]) for row in rows], [])
    read_share = sum(verdict["verdict"] == "equal" for verdict in itself) / len(rows)
    given = grade(args.noregret, [(row["gold"], row["prediction"]) for row in rows], [])
    equal_share = sum(verdict["verdict"] == "equal" for verdict in given) / len(rows)
    print(f"\n{name}: {len(rows)} strings with MATH's commands, {100 * read_share:.1f} % read (want {100 * PARSE_GATE:.0f} %), "
          f"{100 * equal_share:.1f} % equal to how their source prints them")
    if args.list:
        for row, verdict in zip(rows, itself):
            if verdict["verdict"] != "equal":
                print(f"  not read: {row['prediction']}")
    return read_share >= PARSE_GATE


def compare_times(args, all_rows):
    rows = [row for name in ("math_gold_pairs", "probes", "math_verify") for row in all_rows.get(name, [])
            if row["kind"] == "grade" and row["gold"] and row["prediction"] and len(row["prediction"]) < 200]
    rows = random.Random(args.seed).sample(rows, min(args.time, len(rows)))
    pairs = [(row["gold"].strip("$"), row["prediction"].strip("$")) for row in rows]
    ours = [verdict["micros"] for verdict in grade(args.noregret, pairs, [])]
    lines = "".join(json.dumps({"gold": gold, "prediction": prediction}) + "\n" for gold, prediction in pairs)
    done = subprocess.run([args.python, "-c", PEER], input=lines, capture_output=True, text=True)
    theirs = [json.loads(line)["micros"] for line in done.stdout.splitlines()]
    if len(theirs) != len(pairs):
        sys.exit(f"math-verify answered {len(theirs)} of {len(pairs)} pairs; {done.stderr.strip()[-300:]}")
    print(f"\n{len(pairs)} pairs, microseconds a pair | median | mean | 99 % | max\n---|---|---|---|---")
    for name, micros in (("noregret grade", ours), ("Math-Verify", theirs)):
        micros = sorted(micros)
        print(f"{name} | {statistics.median(micros):.1f} | {statistics.mean(micros):.1f} | {micros[len(micros) * 99 // 100]:.0f} | "
              f"{micros[-1]:.0f}")
    print(f"median: {statistics.median(theirs) / statistics.median(ours):.0f} times faster")


def main():
    args = parse_args()
    all_rows = {name: read(path) for name, path in sources(args.cases).items()}
    if not all_rows:
        sys.exit(f"{args.cases}: no .jsonl files; name the folder with the cases")
    print("| source | cases | false accepts | false rejects | agree | gate | median us | max ms | met |\n|---|---|---|---|---|---|---|---|---|")
    met, disagreements = [], []
    for name, rows in all_rows.items():
        if any(row["kind"] == "grade" for row in rows):
            is_met, wrong = judge(args, name, rows)
            met.append(is_met)
            disagreements += wrong
    for name, rows in all_rows.items():
        met.append(judge_parsing(args, name, rows))
    if args.list:
        print("\n| source | verdict | expected | gold | prediction |\n|---|---|---|---|---|")
        for name, verdict, row in disagreements:
            cut = lambda text: json.dumps((text or "")[-120:], ensure_ascii=False).replace("|", "\\|")
            print(f"| {name} | {verdict} | {row['expected']} | {cut(row['gold'])} | {cut(row['prediction'])} |")
    if args.time:
        compare_times(args, all_rows)
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
