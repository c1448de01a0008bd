"""Writes the golden files of this folder: a small tokenizer of each family with strings, their ids and what these decode to, by
Hugging Face tokenizers; and conversations as jinja2 renders them.

    python make_goldens.py        # tokenizers 0.23.3, jinja2 3.1.6, Python 3.11; the versions used are in the files

For each string: `ids` with control tokens as plain text, `special_ids` with control tokens and those of the post-processor, `decoded` is
the text of `special_ids`. `pieces` are random ids, most of them no valid UTF-8.
"""

import json
import pathlib
import random
import sys

import jinja2
import tokenizers

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "parity"))
import tokenizer_families as families  # noqa: E402

SEED = 20253
VOCAB_SIZE = 1200
NUM_STRINGS = 150
NUM_PIECES = 60
NUM_CONVERSATIONS = 30
FAMILY_TEMPLATES = {"smollm2": "smollm2", "llama3": "llama3", "qwen2": "chatml"}
VERSIONS = {"tokenizers": tokenizers.__version__, "jinja2": jinja2.__version__, "python": sys.version.split()[0], "seed": SEED}


def write(name, data):
    (HERE / name).write_text(json.dumps(data, indent=0) + "\n", encoding="ascii")


def cases(tokenizer, strings):
    tokenizer.encode_special_tokens = True
    plain = [encoding.ids for encoding in tokenizer.encode_batch(strings, add_special_tokens=False)]
    tokenizer.encode_special_tokens = False
    special = [encoding.ids for encoding in tokenizer.encode_batch(strings, add_special_tokens=True)]
    decoded = tokenizer.decode_batch(special, skip_special_tokens=False)
    return [dict(text=text, ids=ids, special_ids=special_ids, decoded=back)
            for text, ids, special_ids, back in zip(strings, plain, special, decoded)]


def make_tokenizers():
    lines = families.corpus(SEED, 600)
    for name, make in families.FAMILIES.items():
        tokenizer, config = make(lines, VOCAB_SIZE)
        template = families.TEMPLATES[FAMILY_TEMPLATES[name]] if name in FAMILY_TEMPLATES else None
        families.save(HERE / name, tokenizer, config, template)
        source = families.Strings(SEED, families.added_contents(tokenizer) * 2)
        rng = random.Random(SEED)
        known = sorted(tokenizer.get_vocab().values())
        pieces = [[rng.choice(known) for _ in range(rng.randint(0, 8))] for _ in range(NUM_PIECES)]
        texts = tokenizer.decode_batch(pieces, skip_special_tokens=False)
        write(f"{name}/cases.json", dict(made_by=VERSIONS, strings=cases(tokenizer, [source.string() for _ in range(NUM_STRINGS)]),
                                         pieces=[dict(ids=ids, decoded=text) for ids, text in zip(pieces, texts)]))


def make_chats():
    source = families.Strings(SEED)
    rows = []
    for template, text in families.TEMPLATES.items():
        bos = "<|begin_of_text|>" if template == "llama3" else ""
        for _ in range(NUM_CONVERSATIONS):
            messages = source.conversation()
            for message in messages:  # white space at the ends too
                message["content"] = source.random.choice(families.SPACES) + message["content"] + source.random.choice(families.SPACES)
            prompt = source.random.random() < 0.5
            rows.append(dict(family=template, messages=messages, add_generation_prompt=prompt,
                             text=families.render(text, messages, prompt, bos)))
    write("chats.json", dict(made_by=VERSIONS, chats=rows))


make_tokenizers()
make_chats()
