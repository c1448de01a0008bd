"""The PyTorch side of bench/gpu: makes models, measures ceilings, times transformers and PEFT. Runs in their environment.

usage: gpu_peers.py JOBS.json    a list of objects, each with "key", "job", "needs_s" and the arguments of the function of that name
Prints one JSON object a line and job: the key and its figures, or "failed", or "skipped" where less than needs_s is left.
"""

import gc
import json
import os
import pathlib
import statistics
import sys
import time

import torch

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
STD = 0.02
SEED = 0
models = {}  # loaded ones by folder


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def timed(device, work, warmup, repeat):
    """Seconds of each call after the warm-up, until the device has done the work."""
    seconds = []
    for index in range(warmup + repeat):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        if index >= warmup:
            seconds.append(time.perf_counter() - start)
    return seconds


def free(device):
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_mib(device):
    return round(torch.cuda.max_memory_allocated() / 2**20, 1) if device == "cuda" else None


# ---- models


def tensors_of(shape):
    """(name, shape) of every weight of a checkpoint."""
    hidden, rows, kv_rows = shape["hidden"], shape["heads"] * shape["head_dim"], shape["kv_heads"] * shape["head_dim"]
    yield "model.embed_tokens.weight", [shape["vocab"], hidden]
    for index in range(shape["layers"]):
        layer = f"model.layers.{index}"
        yield f"{layer}.input_layernorm.weight", [hidden]
        for name, out, inner in (("q", rows, hidden), ("k", kv_rows, hidden), ("v", kv_rows, hidden), ("o", hidden, rows)):
            yield f"{layer}.self_attn.{name}_proj.weight", [out, inner]
        yield f"{layer}.post_attention_layernorm.weight", [hidden]
        for name, out, inner in (("gate", shape["inter"], hidden), ("up", shape["inter"], hidden), ("down", hidden, shape["inter"])):
            yield f"{layer}.mlp.{name}_proj.weight", [out, inner]
    yield "model.norm.weight", [hidden]
    if not shape["tied"]:
        yield "lm_head.weight", [shape["vocab"], hidden]


def write_config(folder, shape):
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False,
              "mlp_bias": False, "hidden_size": shape["hidden"], "intermediate_size": shape["inter"],
              "num_hidden_layers": shape["layers"], "num_attention_heads": shape["heads"],
              "num_key_value_heads": shape["kv_heads"], "head_dim": shape["head_dim"], "vocab_size": shape["vocab"],
              "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 500000.0, "bos_token_id": None,
              "eos_token_id": None, "tie_word_embeddings": shape["tied"], "torch_dtype": "bfloat16", "use_cache": True}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": None, "eos_token_id": None}) + "\n")


def make(device, folder, shape):
    """A Hugging Face folder with random weights: matrices N(0, STD) in bf16, norms 1."""
    final, partial = pathlib.Path(folder), pathlib.Path(folder + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    write_config(partial, shape)
    header, begin = {}, 0
    for name, sizes in tensors_of(shape):
        end = begin + 2 * torch.Size(sizes).numel()
        header[name] = {"dtype": "BF16", "shape": sizes, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of 8
    generator = torch.Generator(device).manual_seed(SEED)
    with (partial / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, sizes in tensors_of(shape):
            tensor = torch.ones(sizes, dtype=torch.bfloat16, device=device)
            if len(sizes) > 1:
                tensor.normal_(0.0, STD, generator=generator)
            file.write(tensor.view(torch.int16).cpu().numpy())
    os.rename(partial, final)
    return {"gib": round(begin / 2**30, 2)}


def load(device, folder):
    if folder not in models:
        import transformers

        models.clear()
        free(device)
        transformers.logging.set_verbosity_error()
        models[folder] = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, attn_implementation="sdpa").to(device).eval()
    return models[folder]


# ---- ceilings


def median_event_s(work, warmup, repeat):
    seconds = []
    for index in range(warmup + repeat):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
        if index >= warmup:
            seconds.append(start.elapsed_time(end) / 1000)
    return statistics.median(seconds)


def ceilings(device, copy_bytes, size):
    """Rates of a copy, bytes read and written, and of a bf16 product of random matrices."""
    source = torch.randint(-(2**31), 2**31 - 1, [copy_bytes // 4], dtype=torch.int32, device=device)
    target = torch.empty_like(source)
    copy_s = median_event_s(lambda: target.copy_(source), 3, 15)
    del source, target
    left, right = (torch.randn(size, size, device=device).to(torch.bfloat16) for _ in range(2))
    product = torch.empty_like(left)
    gemm_s = median_event_s(lambda: torch.mm(left, right, out=product), 10, 40)
    return {"copy_gb_per_s": round(2 * copy_bytes / copy_s / 1e9, 1), "gemm_tflops": round(2 * size**3 / gemm_s / 1e12, 1)}


# ---- transformers


def prompts(device, model, count, length):
    generator = torch.Generator().manual_seed(SEED)
    return torch.randint(0, model.config.vocab_size, [count, length], generator=generator).to(device)


def sample(model, ids, new, compiled):
    more = {"cache_implementation": "static"} if compiled else {}  # generate() compiles the forward then
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new,
                             do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=0, **more)
    if out.shape[1] != ids.shape[1] + new:
        raise RuntimeError(f"generate() made {out.shape[1] - ids.shape[1]} new tokens, want {new}")


def generate(device, folder, batch, prompt, new, repeat, compile):
    model = load(device, folder)
    free(device)
    ids = prompts(device, model, batch, prompt)
    sample(model, ids, new if compile else min(8, new), compile)
    total_s = statistics.median(timed(device, lambda: sample(model, ids, new, compile), 0, repeat))
    first_s = statistics.median(timed(device, lambda: sample(model, ids, 1, compile), 0, repeat))
    return {"batch": batch, "prompt_len": prompt, "new_tokens": new, "seconds_median": total_s, "first_token_s": first_s,
            "tokens_per_s": batch * new / total_s, "decode_tokens_per_s": batch * (new - 1) / (total_s - first_s),
            "peak_gpu_mib": peak_mib(device)}


def ragged(device, folder, group_size, prompt, lengths, batch):
    """Static batches of `batch` sequences, each of which runs until its longest is done."""
    model = load(device, folder)
    free(device)
    ids = prompts(device, model, len(lengths) // group_size, prompt).repeat_interleave(group_size, 0)

    def rollout():
        for begin in range(0, len(lengths), batch):
            sample(model, ids[begin:begin + batch], max(lengths[begin:begin + batch]), False)

    sample(model, ids[:batch], min(8, max(lengths)), False)
    seconds = timed(device, rollout, 0, 1)[0]
    return {"seconds_median": seconds, "tokens_per_s": sum(lengths) / seconds, "useful_tokens": sum(lengths),
            "peak_gpu_mib": peak_mib(device)}


# ---- PEFT


def peft(device, folder, mode, sequences, length, rank, repeat):
    """A step of forward, loss on the last half, backward and AdamW. Modes: f32 adapters under autocast, or bf16 adapters."""
    from peft import LoraConfig, get_peft_model

    base = load(device, folder)
    models.clear()  # PEFT changes it
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=LINEARS, task_type="CAUSAL_LM")
    model = get_peft_model(base, config, autocast_adapter_dtype=mode == "autocast").train()
    model.config.use_cache = False
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    ids = prompts(device, model, sequences, length)
    labels = ids.clone()
    labels[:, :length - length // 2] = -100

    def step(micro):
        for begin in range(0, sequences, micro):
            part = slice(begin, begin + micro)
            with torch.autocast(device, torch.bfloat16, enabled=mode == "autocast"):
                loss = model(input_ids=ids[part], labels=labels[part]).loss
            (loss * micro / sequences).backward()
        optimizer.step()
        optimizer.zero_grad()

    micro = sequences
    while True:
        free(device)
        try:
            seconds = statistics.median(timed(device, lambda: step(micro), 1, repeat))
            break
        except torch.OutOfMemoryError:
            optimizer.zero_grad()
            if micro == 1:
                raise
            micro = (micro + 1) // 2  # the most that fits
    return {"mode": mode, "micro_batch": micro, "seconds_median": seconds, "tokens_per_s": sequences * length / seconds,
            "trainable_parameters": sum(parameter.numel() for parameter in trained), "peak_gpu_mib": peak_mib(device)}


JOBS = {work.__name__: work for work in (make, ceilings, generate, ragged, peft)}


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    for job in json.loads(pathlib.Path(sys.argv[1]).read_text()):
        key, needs_s, deadline = job.pop("key"), job.pop("needs_s"), job.pop("deadline")
        result = {"key": key}
        left_s = deadline - time.time()
        if left_s < needs_s:
            result["skipped"] = f"needs about {needs_s:.0f} s, {max(0.0, left_s):.0f} s are left"
        else:
            try:
                result.update(JOBS[job.pop("job")](**job))
            except Exception as error:  # the other jobs go on
                result["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
