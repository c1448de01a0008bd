"""Writes the golden files of this folder: tiny random Llama models, PEFT adapters on two of them, and the log-probs of a few
sequences under each, by transformers and PEFT in f32 on the CPU.

    python make_goldens.py        # torch 2.11.0, transformers 5.17.0, peft 0.21.2; the versions used are in logprobs.json

Weights are several times larger than at a real initialization, so that distributions are far from uniform and an error in any
weight, position or scale moves the log-probs by much more than the tests' tolerance.
"""

import json
import pathlib
import shutil

import peft
import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20251
BASE = dict(vocab_size=32, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            head_dim=6, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)
# theta 100 and head_dim 12 put frequencies into every range that the scalings tell apart at an original length of 32.
WIDE = dict(head_dim=12)


def rope(kind, **values):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=100.0, **values))


MODELS = {
    "tied": dict(tie_word_embeddings=True),
    "untied_mha": dict(num_key_value_heads=4),
    "one_kv_head": dict(num_key_value_heads=1, **WIDE),
    "rope_linear": dict(**WIDE, **rope("linear", factor=4.0)),
    "rope_dynamic": dict(**WIDE, **rope("dynamic", factor=2.0)),
    "rope_llama3": dict(**WIDE, **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                       original_max_position_embeddings=32)),
    "rope_yarn": dict(**WIDE, **rope("yarn", factor=2.0, original_max_position_embeddings=32)),
    "rope_yarn_attention": dict(**WIDE, **rope("yarn", factor=4.0, original_max_position_embeddings=16, attention_factor=1.25,
                                               beta_fast=2.0, beta_slow=0.5)),
    "bf16": dict(),
}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
ADAPTERS = {
    "adapter_untied": ("untied_mha", dict(r=3, lora_alpha=20, target_modules=TARGETS)),
    "adapter_tied": ("tied", dict(r=3, lora_alpha=20, target_modules=TARGETS)),
    "adapter_patterns": ("untied_mha", dict(r=2, lora_alpha=5, target_modules=["q_proj", "down_proj", "lm_head"], use_rslora=True,
                                            rank_pattern={"down_proj": 4}, alpha_pattern={"layers.1.mlp.down_proj": 7})),
}


def sequences():
    generator = torch.Generator().manual_seed(SEED)
    return [torch.randint(3, BASE["vocab_size"], (length,), generator=generator).tolist() for length in (60, 23, 2)]


@torch.no_grad()
def score(model, ids):
    logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].double()
    picked = logits.log_softmax(-1).gather(1, torch.tensor(ids[1:]).unsqueeze(1)).squeeze(1)
    return [round(x, 7) for x in picked.tolist()]


def randomize(tensors, generator, std):
    for tensor in tensors:
        tensor.data = torch.randn(tensor.shape, generator=generator) * std


def make_model(name, changes, generator):
    model = LlamaForCausalLM(LlamaConfig(**{**BASE, **changes}))
    for key, parameter in model.named_parameters():
        if "norm" in key:
            parameter.data = 1.0 + 0.3 * torch.randn(parameter.shape, generator=generator)
        else:
            randomize([parameter], generator, 0.4 if "embed" in key or "lm_head" in key else 0.3)
    if name == "bf16":
        model = model.to(torch.bfloat16)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def make_adapter(name, base, options, generator):
    model = AutoModelForCausalLM.from_pretrained(HERE / base, dtype=torch.float32)
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **options)).eval()
    randomize([p for key, p in sorted(model.named_parameters()) if "lora_" in key], generator, 0.2)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base  # no path of the machine that made it
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return model


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    golden = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__, "seed": SEED, "models": {},
              "adapters": {}}
    for name, changes in MODELS.items():
        model = make_model(name, changes, generator)
        golden["models"][name] = [{"ids": ids, "logprobs": score(model, ids)} for ids in sequences()]
    for name, (base, options) in ADAPTERS.items():
        model = make_adapter(name, base, options, generator)
        golden["adapters"][name] = {"model": base, "sequences": [{"ids": ids, "logprobs": score(model, ids)} for ids in sequences()]}
    (HERE / "logprobs.json").write_text(json.dumps(golden) + "\n")


main()
