#!/usr/bin/env python3
"""Prints the ids that the peers' scripts draw, so that the engine is given the same. Runs in the peers' environment.

usage: peer_inputs.py PEERS_DIR MODEL_DIR prompts COUNT LENGTH [NEW_TOKENS for ragged lengths]
       peer_inputs.py PEERS_DIR MODEL_DIR sequences COUNT LENGTH
One JSON object: {"ids": [[...]]} and "lengths" where ragged, or "weights" of sequences. The seed is the scripts' own, 0.
"""

import json
import pathlib
import sys

SEED = 0


def special_ids(config):
    return {config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id") if config.get(key) is not None}


def main():
    if len(sys.argv) not in (6, 7):
        raise SystemExit(__doc__)
    peers, model, kind = sys.argv[1:4]
    count, length = map(int, sys.argv[4:6])
    sys.path.insert(0, peers)
    from common import import_torch, random_prompts

    torch = import_torch(1)
    config = json.loads((pathlib.Path(model) / "config.json").read_text())
    ids = random_prompts(torch, config["vocab_size"], special_ids(config), count, length, SEED)
    result = {"ids": ids.tolist()}
    if kind == "sequences":
        result["weights"] = torch.randn(count, generator=torch.Generator().manual_seed(SEED)).tolist()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
