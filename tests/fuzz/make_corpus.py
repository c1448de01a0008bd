#!/usr/bin/env python3
"""Writes the seeds of tests/fuzz/corpus/<name>/: good inputs of every form and some bad ones, each a few hundred bytes.

  tests/fuzz/make_corpus.py        (files that it does not name stay: inputs that a fuzzer found)
"""
import json
import struct
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def safetensors():
    def file(header, data=b""):
        return json.dumps(header, separators=(",", ":")).encode() + b"\0" + data

    def tensor(dtype, shape, begin, end):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    two = {"__metadata__": {"format": "pt"}, "a": tensor("F32", [1, 2], 0, 8), "b": tensor("U8", [3], 8, 11)}
    write("safetensors", "empty", b"{}")
    write("safetensors", "two", file(two, b"0123456789a"))
    write("safetensors", "scalar", file({"s": tensor("BF16", [], 0, 2)}, b"\x80\x3f"))
    write("safetensors", "no_elements", file({"a": tensor("I64", [0, 7], 0, 0), "b": tensor("BOOL", [1], 0, 1)}, b"\1"))
    write("safetensors", "overlap", file({"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [2], 1, 3)}, b"012"))
    write("safetensors", "hole", file({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, b"012"))
    write("safetensors", "wraps", file({"a": tensor("F64", [2**32, 2**32], 0, 0)}))
    write("safetensors", "raw", struct.pack("<Q", 2) + b"{}")
    write("safetensors", "huge_header", struct.pack("<Q", 2**63) + b"{}")
    write("safetensors", "padded", struct.pack("<Q", 8) + b"{}      ")


def json_texts():
    texts = {
        "object": '{"a":1,"b":[true,false,null],"c":{"d":"e"}}',
        "numbers": "[0,-0,1,-1,0.1,1e-5,1E+300,-2.5e-10,18446744073709551615,18446744073709551616,9223372036854775807]",
        "strings": '["","\\u0000","\\ud83d\\ude00","\\"\\\\\\/\\b\\f\\n\\r\\t","\u00e9\u4e2d"]',
        "lone_surrogate": '"\\ud83d"',
        "twice": '{"a":1,"a":2}',
        "deep": "[" * 65 + "]" * 65,
        "deep_enough": "[" * 64 + "]" * 64,
        "after": "1 2",
        "too_large": "1e400",
        "lines": '{\n"a":\n[1,\n2]\n}\n',
    }
    for name, text in texts.items():
        write("json", name, text)


def tokenizers():
    def document(**changes):
        vocab = {"a": 0, "b": 1, "ab": 2, "\u0120": 3, "1": 4, "2": 5, "\u0120a": 6, "c": 7, "\u010a": 8}
        doc = {
            "version": "1.0",
            "added_tokens": [{"id": 9, "content": "<s>", "special": True, "normalized": False}],
            "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
            "post_processor": None,
            "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": vocab, "merges": [["a", "b"], ["\u0120", "a"]]},
        }
        doc.update(changes)
        return json.dumps(doc, ensure_ascii=False, separators=(",", ":"))

    split = {"type": "Split", "pattern": {"Regex": " ?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated"}
    steps = [{"type": "Digits", "individual_digits": True}, split, {"type": "ByteLevel", "use_regex": False}]
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [9], "tokens": ["<s>"]}},
    }
    added = [{"id": 9, "content": "<s>", "special": True},
             {"id": 10, "content": "c\u0301", "normalized": True, "lstrip": True, "rstrip": True, "single_word": True}]
    model = {"type": "BPE", "unk_token": "b", "fuse_unk": True, "ignore_merges": True, "vocab": {"a": 0, "b": 1, "ab": 2},
             "merges": ["a b"]}
    write("tokenizer", "plain", document())
    write("tokenizer", "steps", document(pre_tokenizer={"type": "Sequence", "pretokenizers": steps}))
    write("tokenizer", "template", document(post_processor=template, normalizer={"type": "NFC"}, added_tokens=added))
    write("tokenizer", "unknown", document(model=model))
    write("tokenizer", "unknown_part", document(normalizer={"type": "Lowercase"}))
    text = {"type": "Split", "pattern": {"String": "("}, "behavior": "MergedWithNext", "invert": True}
    write("tokenizer", "text_split", document(pre_tokenizer=text))
    config = {"bos_token": "<s>", "eos_token": {"content": "<s>"}, "chat_template": "{{ messages }}"}
    write("tokenizer", "config", document() + "\0" + json.dumps(config))
    write("tokenizer", "named_templates",
          document() + "\0" + json.dumps({"chat_template": [{"name": "default", "template": "{% for m in messages %}"}]}))
    write("tokenizer", "backtracks",
          document(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a*)*c"}, "behavior": "Removed"}))


def ggufs():
    def text(value):
        data = value.encode()
        return struct.pack("<Q", len(data)) + data

    def file(keys, tensors=(), data=b"", version=3):
        out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
        for key, kind, value in keys:
            out += text(key) + struct.pack("<I", kind) + value
        for name, dims, kind, offset in tensors:
            out += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
            out += struct.pack("<IQ", kind, offset)
        return out + b"\0" * (-len(out) % 32) + data

    u32 = lambda value: struct.pack("<I", value)
    texts = lambda values: struct.pack("<IQ", 8, len(values)) + b"".join(text(v) for v in values)
    ints = lambda values: struct.pack("<IQ", 5, len(values)) + struct.pack(f"<{len(values)}i", *values)
    write("gguf", "empty", file([]))
    write("gguf", "version_2", file([("general.alignment", 4, u32(32))], version=2))
    kinds = [(0, "<B", 1), (1, "<b", -1), (2, "<H", 2), (3, "<h", -2), (4, "<I", 3), (5, "<i", -3), (6, "<f", 0.5),
             (7, "<B", 1), (10, "<Q", 4), (11, "<q", -4), (12, "<d", 0.25)]
    write("gguf", "every_kind", file([(f"k{kind}", kind, struct.pack(form, value)) for kind, form, value in kinds] +
                                     [("k8", 8, text("x")), ("k9", 9, texts(["a", ""])),
                                      ("k9f", 9, struct.pack("<IQ2f", 6, 2, 1.0, 2.0))]))
    types = [(0, 4, 1), (1, 2, 1), (30, 2, 1), (8, 34, 32), (2, 18, 32), (3, 20, 32)]
    tensors = [(f"t{kind}", [block], kind, 64 * i) for i, (kind, _, block) in enumerate(types)]
    write("gguf", "every_type", file([], tensors, bytes(range(64)) * 6))
    write("gguf", "overlap", file([], [("a", [2], 0, 0), ("b", [2], 0, 0)], bytes(32)))
    write("gguf", "wraps", file([], [("a", [2**32, 2**31], 0, 0)], bytes(32)))
    write("gguf", "many", b"GGUF" + struct.pack("<IQQ", 3, 2**61, 2**61))
    llama = [("general.architecture", 8, text("llama"))]
    llama += [(f"llama.{key}", 4, u32(value)) for key, value in
              [("block_count", 1), ("context_length", 8), ("embedding_length", 4), ("feed_forward_length", 2),
               ("attention.head_count", 1)]]
    llama += [("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
              ("tokenizer.ggml.model", 8, text("gpt2")), ("tokenizer.ggml.pre", 8, text("smollm")),
              ("tokenizer.ggml.tokens", 9, texts(["<s>", "a", "b", "ab"])),
              ("tokenizer.ggml.token_type", 9, ints([3, 1, 1, 1])), ("tokenizer.ggml.merges", 9, texts(["a b"])),
              ("tokenizer.ggml.bos_token_id", 4, u32(0)), ("tokenizer.ggml.eos_token_id", 4, u32(0))]
    shapes = [("token_embd", [4, 4]), ("output_norm", [4]), ("blk.0.attn_norm", [4]), ("blk.0.attn_q", [4, 4]),
              ("blk.0.attn_k", [4, 4]), ("blk.0.attn_v", [4, 4]), ("blk.0.attn_output", [4, 4]), ("blk.0.ffn_norm", [4]),
              ("blk.0.ffn_gate", [4, 2]), ("blk.0.ffn_up", [4, 2]), ("blk.0.ffn_down", [2, 4])]
    write("gguf", "llama", file(llama, [(name + ".weight", dims, 1, 32 * i) for i, (name, dims) in enumerate(shapes)],
                                bytes(32 * len(shapes))))


def yamls():
    rl = "model: {path: base}\ntask: {name: word_problems}\nrewards: [{plugin: gsm8k_answer}]\n"
    texts = {
        "rl": rl,
        "sft": "mode: sft\nmodel: {path: base}\ndata: {path: rows.jsonl}\nadapter: none\n",
        "block": "model:\n  path: base\ntask:\n  name: x\nrewards:\n  - plugin: a\n    weight: 0.5\n    options: {b: [1, '2']}\n",
        "set": rl + "\0optimizer.lr=1e-4",
        "set_list": rl + "\0rewards[0].weight=0",
        "scalars": "a: |-\n  text\nb: >\n  folded\n  text\nc: 'it''s'\nd: \"\\u00e9\\n\"\ne: ~\nf: 0x1F\ng: 017\nh: yes\n",
        "comma": ",",
        "aliases": "a: &x [1]\nb: *x\n",
        "cycle": "&a [*a]",
        "tags": "a: !!int '5'\n",
        "twice": "a: 1\na: 2\n",
        "documents": "a: 1\n---\nb: 2\n",
        "directive": "%YAML 1.2\n---\na: 1\n...\n",
        "question": "? a\n: b\n? [c]\n: d\n",
        "deep": "[" * 33 + "]" * 33,
        "open_quote": "a: 'x\n",
        "tab": "a:\n\tb: 1\n",
    }
    for name, text in texts.items():
        write("yaml", name, text)


def answers():
    texts = ["\\frac{3}{4}", "2\\sqrt{3}+\\pi", "(-\\infty, 2] \\cup [3, \\infty)", "x^2+3x-1=0", "1\\frac{1}{2}",
             "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\text{Monday}", "-2,3,\\pm 4", "1101_2",
             "32,\\!760\\text{ cm}^2", "x=1,y=2;x=3,y=4", "\\log_{2}(x+1)^{2}", "4:30", "2 \\le x < 5", "0.\\overline{3}",
             "The answer is $\\boxed{12}$.", "6*7=42\n#### 42", "<think>1</think>\n**Answer:** 5%",
             "\\sum_{k=1}^{n} k", "\\binom{5}{2} - |{-3}|", "\u221a2 \u2212 90\u00b0"]
    for i, text in enumerate(texts):
        write("grader", f"answer_{i:02}", bytes([i & 31]) + text.encode())
    write("grader", "nothing", b"")


for make in (safetensors, json_texts, tokenizers, ggufs, yamls, answers):
    make()
