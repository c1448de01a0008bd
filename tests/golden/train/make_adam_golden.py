"""Writes adam.json: weights after each update by torch.optim.AdamW in f64, for inputs that f32 holds exactly.

    python make_adam_golden.py        # torch 2.11.0; the version used is in adam.json
"""

import json
import pathlib

import torch

SEED = 7
NUM_STEPS = 6
CASES = {
    "recipe": dict(lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0),
    "decay": dict(lr=3e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
    "large_eps": dict(lr=1e-1, betas=(0.5, 0.75), eps=1e-2, weight_decay=0.0),
    "no_momentum": dict(lr=1e-2, betas=(0.0, 0.95), eps=1e-8, weight_decay=0.01),
}


def draw(generator, size):
    return torch.randn(size, generator=generator, dtype=torch.float32)


def run(start, gradients, options):
    weights = torch.nn.Parameter(start.double())
    optimizer = torch.optim.AdamW([weights], foreach=False, fused=False, **options)
    after = []
    for gradient in gradients:
        weights.grad = gradient.double()
        optimizer.step()
        after.append(weights.detach().tolist())
    state = optimizer.state[weights]
    return dict(after=after, exp_avg=state["exp_avg"].tolist(), exp_avg_sq=state["exp_avg_sq"].tolist())


def main():
    generator = torch.Generator().manual_seed(SEED)
    start = draw(generator, 5)
    # Scales from 1e-4 to 1e2, and a zero: where epsilon and bias correction show.
    gradients = [draw(generator, 5) * torch.tensor([1e-4, 1e-2, 1.0, 1e2, 0.0]) for _ in range(NUM_STEPS)]
    cases = {name: dict(options=options, **run(start, gradients, options)) for name, options in CASES.items()}
    out = dict(torch=torch.__version__, seed=SEED, start=start.tolist(), gradients=[g.tolist() for g in gradients], cases=cases)
    path = pathlib.Path(__file__).resolve().parent / "adam.json"
    path.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
