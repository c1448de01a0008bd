"""Writes the golden files of this folder by the reference implementations of the formats.

    python make_goldens.py     # gguf 0.19.0, safetensors 0.8.0, tensorboard 2.21.0, transformers 5.17.0, torch 2.11.0

six_types.gguf        a tensor of each readable type, quantized by gguf; six_types.json holds what gguf dequantizes
mixed.safetensors     tensors of four element sizes, written by safetensors
events.bin            TensorBoard records, written by tensorboard
tiny_llama.gguf       a random Llama with q and k rows in GGUF's order; transformers' own reader is checked to undo it
tiny_llama.safetensors  its weights as transformers has them
"""

import io
import json
import pathlib

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from gguf import quants
from safetensors.torch import save_file
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20252


def make_six_types(rng):
    writer = gguf.GGUFWriter(HERE / "six_types.gguf", "none")
    writer.add_uint32("some.integer", 7)
    writer.add_array("some.floats", [0.5, -2.0])
    golden = {}
    for kind in (Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1):
        values = (rng.standard_normal((1, 64)) * 3).astype(np.float32)
        data = quants.quantize(values, kind)
        writer.add_tensor(kind.name.lower(), data, raw_dtype=kind)
        golden[kind.name.lower()] = [float(x) for x in quants.dequantize(data, kind).reshape(-1)]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (HERE / "six_types.json").write_text(json.dumps(golden) + "\n")


def make_mixed():
    tensors = {
        "b.wide": torch.arange(3, dtype=torch.int64),
        "a.float": torch.arange(6, dtype=torch.float32).view(2, 3) / 4,
        "c.scalar": torch.tensor(-1.5),
        "a.half": torch.tensor([1.0, -2.0, 0.5], dtype=torch.bfloat16),
        "a.bytes": torch.tensor([[0, 255]], dtype=torch.uint8),
        "b.empty": torch.zeros(0, 4),
    }
    save_file(tensors, HERE / "mixed.safetensors", metadata={"format": "pt"})


def make_events():
    out = io.BytesIO()
    writer = RecordWriter(out)
    value = Summary.Value
    for event in (
        Event(wall_time=1700000000.25, file_version="brain.Event:2"),
        Event(wall_time=1700000001.5, step=3, summary=Summary(value=[value(tag="reward/mean", simple_value=0.125),
                                                                     value(tag="optim/lr", simple_value=3e-5)])),
        Event(wall_time=1700000002.0, step=300000000000, summary=Summary(value=[value(tag="loss/value", simple_value=0.0)])),
    ):
        writer.write(event.SerializeToString())
    (HERE / "events.bin").write_bytes(out.getvalue())


def interleaved(weight, num_heads):
    """Rows (head, half, i) to (head, i, half)."""
    rows, columns = weight.shape
    return weight.reshape(num_heads, 2, rows // num_heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def make_tiny_llama():
    config = LlamaConfig(vocab_size=24, hidden_size=16, intermediate_size=20, num_hidden_layers=1, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0,
                         tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)
    model = LlamaForCausalLM(config)
    generator = torch.Generator().manual_seed(SEED)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    weights = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, HERE / "tiny_llama.safetensors", metadata={"format": "pt"})

    path = HERE / "tiny_llama.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_feed_forward_length(20)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(4)
    writer.add_vocab_size(24)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + list("abcdefghijklmnopqrs") + ["ab", "cd"]
    writer.add_token_list(words)
    writer.add_token_types([3, 3, 3] + [1] * 21)
    writer.add_token_merges(["a b", "c d"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
    for name, tensor in weights.items():
        values = tensor.numpy()
        if "q_proj" in name or "k_proj" in name:
            values = interleaved(values, 4 if "q_proj" in name else 2)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read_back = AutoModelForCausalLM.from_pretrained(HERE, gguf_file=path.name, dtype=torch.float32).state_dict()
    assert all(torch.equal(read_back[name], tensor) for name, tensor in weights.items())


make_six_types(np.random.default_rng(SEED))
make_mixed()
make_events()
make_tiny_llama()
for path in HERE.glob("*.safetensors"):
    path.chmod(0o644)
