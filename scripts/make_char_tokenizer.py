#!/usr/bin/env python3
"""Writes the quickstart model's tokenizer: one id a byte, then two control tokens.

A byte-level BPE without merges in Hugging Face's tokenizer.json form. All 256 bytes are there, so that no text is unencodable.

    usage: make_char_tokenizer.py OUT_DIR
"""

import json
import pathlib
import sys

END = "<|end|>"
PAD = "<|pad|>"


def byte_symbols():
    """Byte -> printable character, as GPT-2's byte-level alphabet has it."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols = {byte: chr(byte) for byte in printable}
    others = [byte for byte in range(256) if byte not in symbols]
    symbols.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return [symbols[byte] for byte in range(256)]


def control_token(token, token_id):
    return {
        "id": token_id,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out_dir = pathlib.Path(sys.argv[1])
    vocab = {symbol: token_id for token_id, symbol in enumerate(byte_symbols())}
    controls = [END, PAD]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [control_token(token, len(vocab) + i) for i, token in enumerate(controls)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [],
        },
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 256,
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, content in (("tokenizer.json", tokenizer), ("tokenizer_config.json", settings)):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (out_dir / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
