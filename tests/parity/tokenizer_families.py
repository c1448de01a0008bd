"""Small tokenizers of the families that noregret reads, random strings and conversations to compare them on, and chat templates.

Used by tokenizer_parity.py and by tests/golden/text/make_goldens.py. Needs tokenizers and jinja2.
"""

import json
import random
import unicodedata

import jinja2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = """the of and to in is that it was for on are as with his they at be this have from or had by hot but some what there we can
out other were all your when up use word how said an each she which do their time if will way about many then them would write like so
these her long make thing see him two has look more day could go come did my sound no most number who over know water than call first
people may down side been now find any new work part take get place made live where after back little only round man year came show
every good me give our under name very through just form great think say help low line before turn cause same mean differ move right
boy old too does tell sentence set three want air well also play small end put home read hand port large spell add even land here must
big high such follow act why ask men change went light kind off need house picture try again animal point mother world near build self
earth father""".split()
SUFFIXES = ["", "", "", "s", "ed", "ing", "er", "ly", "ness", "ation", "'s", "'ll", "'re", "'ve", "'d", "'m", "n't", "'T", "'LL"]
CODE = ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n\t}\n", "if x == None:\n        pass\n",
        "std::vector<int> v{1, 2};", "SELECT * FROM t WHERE a >= 10;", "http://example.org/a?b=c&d=%20#e", "<div class=\"x\">&amp;</div>",
        "x = {'a': [1, 2, 3]}  # comment", "\\frac{1}{2} \\cdot \\boxed{42}", "#### 18", "<<3*4=12>>12", "$1,234.56", "1e-5", "0x1F", "2**10"]
PUNCTUATION = [".", ",", "!", "?", ";", ":", " - ", "...", "(", ")", "\"", "'", "--", "/", "@", "#", "%", "*", "_", "`", "~", "|", "\\"]
SPACES = [" ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", "\n\n\n", "        ", "\u00a0", "\u2003", "\u3000", "\u2028",
          "\x0b", "\x0c", "\x1c", "\x85", "\ufeff", "\u200b", "\u200d"]

# Code points that Unicode 13 and 14 assigned: regex engines and tables of different ages differ on them.
AFTER_UNICODE_12 = """61d-61d 870-88e 890-891 898-89f 8b5-8b5 8be-8d2 b55-b55 c3c-c3c c5d-c5d cdd-cdd d04-d04 d81-d81 170d-170d 1715-1715
171f-171f 180f-180f 1abf-1ace 1b4c-1b4c 1b7d-1b7e 1dfa-1dfa 20c0-20c0 2b97-2b97 2c2f-2c2f 2c5f-2c5f 2e50-2e5d 31bb-31bf 4db6-4dbf
9ff0-9fff a7c0-a7c1 a7c7-a7ca a7d0-a7d9 a7f2-a7f6 a82c-a82c ab68-ab6b fbc2-fbc2 fd40-fd4f fdcf-fdcf fdfe-fdff 1019c-1019c 10570-105bc
10780-107ba 10e80-10eb1 10f70-10f89 10fb0-10fcb 11070-11075 110c2-110c2 11147-11147 111ce-111cf 1145a-1145a 11460-11461 116b9-116b9
11740-11746 11900-11959 11ab0-11abf 11fb0-11fb0 12f90-12ff2 16a70-16ac9 16fe4-16fe4 16ff0-16ff1 18af3-18cd5 18d00-18d08 1aff0-1affe
1b11f-1b122 1cf00-1cfc3 1d1e9-1d1ea 1df00-1df1e 1e290-1e2ae 1e7e0-1e7fe 1f10d-1f10f 1f16d-1f16f 1f1ad-1f1ad 1f6d6-1f6d7 1f6dd-1f6df
1f6fb-1f6fc 1f7f0-1f7f0 1f8b0-1f8b1 1f90c-1f90c 1f972-1f972 1f977-1f979 1f9a3-1f9a4 1f9ab-1f9ad 1f9cb-1f9cc 1fa74-1fa74 1fa7b-1fa7c
1fa83-1fa86 1fa96-1faac 1fab0-1faba 1fac0-1fac5 1fad0-1fad9 1fae0-1fae7 1faf0-1faf6 1fb00-1fbf9 2a6d7-2a6df 2b735-2b738 30000-3134a"""


def unicode_12():
    """All code points assigned by Unicode 12 but surrogates; private ones, of which there are many, by a sample."""
    if int(unicodedata.unidata_version.split(".")[0]) > 14:
        raise SystemExit(f"Python's Unicode tables are of version {unicodedata.unidata_version}, want at most 14 (Python 3.11)")
    later = set()
    for span in AFTER_UNICODE_12.split():
        low, high = (int(end, 16) for end in span.split("-"))
        later.update(range(low, high + 1))
    kept = []
    for point in range(0x110000):
        category = unicodedata.category(chr(point))
        if category not in ("Cn", "Cs") and point not in later and (category != "Co" or point % 1024 == 0):
            kept.append(chr(point))
    return kept


class Strings:
    """Random strings, a function of the seed: mixtures of English, digits, white space, code, scripts, marks, emoji."""

    def __init__(self, seed, specials=()):
        self.random = random.Random(seed)
        self.all = unicode_12()
        kind = {char: unicodedata.category(char)[0] for char in self.all}
        self.marks = [char for char in self.all if kind[char] == "M"]
        self.numbers = [char for char in self.all if kind[char] == "N"]
        self.letters = [char for char in self.all if kind[char] == "L" and ord(char) < 0x3000]
        self.composed = [char for char in self.all if unicodedata.decomposition(char) and ord(char) < 0x3000] + ["\uac01", "\ud55c"]
        self.emoji = [chr(point) for point in range(0x1F300, 0x1F650)] + ["\u2764\ufe0f", "\U0001f468\u200d\U0001f469\u200d\U0001f467"]
        self.specials = list(specials)

    def many(self, pool, most):
        return "".join(self.random.choice(pool) for _ in range(self.random.randint(1, most)))

    def word(self):
        word = self.random.choice(WORDS) + self.random.choice(SUFFIXES)
        return self.random.choice((word, word, word, word.capitalize(), word.upper(), word + self.random.choice(WORDS)))

    def sentence(self):
        return " ".join(self.word() for _ in range(self.random.randint(1, 8))) + self.random.choice((".", ".", "?", "!", ",", ""))

    def part(self):
        choice = self.random.random()
        if choice < 0.22:
            return self.sentence()
        if choice < 0.30:
            return self.word()
        if choice < 0.38:
            return str(self.random.randint(0, 10 ** self.random.randint(1, 12)))
        if choice < 0.50:
            return self.many(SPACES, 4)
        if choice < 0.56:
            return self.random.choice(CODE)
        if choice < 0.64:
            return self.many(PUNCTUATION, 4)
        if choice < 0.70:
            return "".join(chr(self.random.randint(0x4E00, 0x9FEF)) for _ in range(self.random.randint(1, 8)))
        if choice < 0.76:
            return unicodedata.normalize(self.random.choice(("NFC", "NFD")), self.many(self.composed, 4))
        if choice < 0.80:
            return self.random.choice(self.letters) + self.many(self.marks, 4)
        if choice < 0.84:
            return self.many(self.numbers, 4)
        if choice < 0.88:
            return self.many(self.emoji, 3)
        if choice < 0.92:
            return self.many(self.letters, 6)
        if choice < 0.95 and self.specials:
            return self.many(SPACES, 1) * self.random.randint(0, 2) + self.random.choice(self.specials) + self.many(SPACES + [""], 1)
        return self.many(self.all, 8)

    def string(self):
        return "".join(self.part() for _ in range(self.random.randint(1, 6)))

    def conversation(self):
        """Messages in any order. An assistant's text begins with no white space: noregret cuts there whatever comes next."""
        messages = []
        for _ in range(self.random.randint(1, 5)):
            role = self.random.choice(("system", "user", "assistant"))
            content = self.random.choice((self.string(), self.string(), self.sentence(), ""))
            messages.append({"role": role, "content": content.lstrip() if role == "assistant" else content})
        return messages


def corpus(seed, num_lines):
    strings = Strings(seed)
    return [" ".join(strings.sentence() for _ in range(6)) + strings.string() for _ in range(num_lines)]


LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2_PATTERN = LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")


def train(pre_tokenizer, normalizer, vocab_size, lines, specials_first=()):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                                  special_tokens=list(specials_first), show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def special(token):
    return AddedToken(token, special=True, normalized=False)


def make_llama3(lines, vocab_size):
    split = pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated", invert=False)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trained = train(pre_tokenizers.Sequence([split, byte_level]), None, vocab_size, lines)
    data = json.loads(trained.to_str())
    # Words that no merges reach: ignore_merges takes them whole.
    for word in ("\u0120strawberry", "zebra", "\u0120Qwertz"):
        data["model"]["vocab"].setdefault(word, len(data["model"]["vocab"]))
    data["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens([special(f"<|{name}|>") for name in (
        "begin_of_text", "end_of_text", "reserved_special_token_0", "start_header_id", "end_header_id", "eot_id")])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, use_regex=True)
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(add_prefix_space=True, trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    return tokenizer, {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}


def make_qwen2(lines, vocab_size):
    split = pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated", invert=False)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer = train(pre_tokenizers.Sequence([split, byte_level]), normalizers.NFC(), vocab_size, lines)
    tokenizer.add_special_tokens([special(f"<|{name}|>") for name in ("endoftext", "im_start", "im_end")])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ("<think>", "</think>")])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    return tokenizer, {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


def make_smollm2(lines, vocab_size):
    split = pre_tokenizers.Digits(individual_digits=True)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokens = [special(token) for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>")]
    tokenizer = train(pre_tokenizers.Sequence([split, byte_level]), None, vocab_size, lines, tokens)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, use_regex=True)
    return tokenizer, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}


def make_odd(lines, vocab_size):
    """Qwen2's, with every flag that an added token may have, alone and together."""
    tokenizer, config = make_qwen2(lines, vocab_size)
    tokenizer.add_tokens([AddedToken("wor", single_word=True, normalized=False), AddedToken("LEFT", lstrip=True, normalized=False),
                          AddedToken("RIGHT", rstrip=True, normalized=False), AddedToken("BOTH", lstrip=True, rstrip=True),
                          AddedToken("e\u0301e\u0301", normalized=True), AddedToken("o\u0308\u00e5", normalized=False), AddedToken("<thi"),
                          AddedToken("  ", normalized=False), AddedToken("\u4e2d\u6587", single_word=True)])
    tokenizer.add_special_tokens([AddedToken("<n\u00e9>", special=True, normalized=True),
                                  AddedToken("<mask>", special=True, lstrip=True, normalized=False)])
    return tokenizer, config


FAMILIES = {"smollm2": make_smollm2, "llama3": make_llama3, "qwen2": make_qwen2, "odd": make_odd}


def added_contents(tokenizer):
    return [token["content"] for token in json.loads(tokenizer.to_str())["added_tokens"]]


def save(folder, tokenizer, config, template=None):
    folder.mkdir(parents=True, exist_ok=True)
    data = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    if template is not None:
        config = {**config, "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


# Chat templates, written from the description of each format.
CHATML = """\
{%- for message in messages -%}
  {{- "<|im_start|>" + message.role + "\\n" -}}
  {{- message.content + "<|im_end|>\\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- "<|im_start|>assistant\\n" -}}
{%- endif -%}
"""
SMOLLM2 = """\
{%- for message in messages %}
  {%- if loop.first and messages[0].role != "system" %}
    {{- "<|im_start|>system\\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\\n" }}
  {%- endif %}
  {{- "<|im_start|>" }}{{ message.role }}{{ "\\n" }}{{ message.content }}{{ "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- "<|im_start|>assistant\\n" }}
{%- endif %}
"""
LLAMA3 = """\
{%- set loop_messages = messages %}
{%- for message in loop_messages %}
  {%- set content = "<|start_header_id|>" + message.role + "<|end_header_id|>\\n\\n" + message.content | trim + "<|eot_id|>" %}
  {%- if loop.index0 == 0 %}
    {%- set content = bos_token + content %}
  {%- endif %}
  {{- content }}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}
{%- endif %}
"""
TEMPLATES = {"chatml": CHATML, "smollm2": SMOLLM2, "llama3": LLAMA3}


def render(template, messages, add_generation_prompt, bos_token=""):
    """As transformers renders a chat template."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(messages=messages, add_generation_prompt=add_generation_prompt, bos_token=bos_token)
