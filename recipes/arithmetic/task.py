#!/usr/bin/env python3
"""The task: products and sums of whole numbers, worked column by column.

A problem is a two-digit number times a digit, plus or minus a number. A completion is
its steps, each behind a space. For `37*4-58=`:

     7*4=28 3*4+2=14 148 8-8=0 14-5=9 1-0-1=0 90

A column adds what was carried; a column that is too small to subtract from borrows ten,
which the next one pays back. Behind the columns of an operation comes its total; the
last total is the answer.

Run as a program it judges: it reads rows from standard input and writes a reward and a
score for each, as `iwsft grade --command` wants them.
"""

import json
import random
import struct
import sys
from array import array
from pathlib import Path

# The chance of each slip where somebody writes traces. What a model imitates of them it
# can unlearn from the traces that turned out right.
SLIPS = {
    "multiplied without what was carried": 0.25,
    "added without what was carried": 0.1,
    "subtracted without what was borrowed": 0.65,
    "miscounted": 0.01,
    "repeated": 0.03,
}
END = "<|end|>"
# The tokens: one for each character that occurs; a space is written so by byte-level BPE.
ALPHABET = "\u01200123456789*+-="


def never(slip):
    """Somebody to whom no slip happens."""
    return False


def careless(rng, factor=1.0):
    """Somebody to whom slips happen `factor` times as often as SLIPS says."""
    return lambda slip: rng.random() < min(1.0, factor * SLIPS[slip])


class Problem:
    """`a*b+c=` or `a*b-c=`, with a result that is not negative."""

    def __init__(self, a, b, sign, c):
        self.a, self.b, self.sign, self.c = a, b, sign, c
        self.prompt = f"{a}*{b}{sign}{c}="
        self.answer = a * b + (c if sign == "+" else -c)

    @classmethod
    def draw(cls, rng):
        a, b = rng.randint(11, 99), rng.randint(2, 9)
        c = rng.randint(11, 99)
        sign = "-" if c <= a * b and rng.random() < 0.6 else "+"
        return cls(a, b, sign, c)

    @classmethod
    def parse(cls, prompt):
        """The problem with this prompt."""
        factor, rest = prompt.removesuffix("=").split("*")
        sign = "-" if "-" in rest else "+"
        b, c = rest.split(sign)
        return cls(int(factor), int(b), sign, int(c))

    def steps(self, slips=never):
        """The steps of somebody to whom a slip happens when `slips(slip)` says so. What
        follows a slip is worked on from what was written."""
        steps = []

        def write(step):
            steps.extend([step] * (2 if slips("repeated") else 1))

        def columns(top, bottoms, sign, forgotten):
            carried, digits = 0, []
            for place, bottom in enumerate(bottoms):
                digit = top // 10**place % 10
                if carried and slips(forgotten):
                    carried = 0
                if sign == "*":
                    result = digit * bottom + carried
                elif sign == "+":
                    result = digit + bottom + carried
                else:
                    digit += 10 if digit < bottom + carried else 0
                    result = digit - bottom - carried
                if result > 0 and slips("miscounted"):
                    result -= 1
                # What was carried is added to a product and a sum, and taken off a difference.
                extra = f"{'-' if sign == '-' else '+'}{carried}" if carried else ""
                write(f"{digit}{sign}{bottom}{extra}={result}")
                digits.append(result % 10)
                carried = int(digit >= 10) if sign == "-" else result // 10
            if sign != "-":
                digits.append(carried)
            total = sum(digit * 10**place for place, digit in enumerate(digits))
            write(str(total))
            return total

        product = columns(self.a, [self.b] * 2, "*", "multiplied without what was carried")
        places = max(len(str(product)), len(str(self.c)))
        bottoms = [self.c // 10**place % 10 for place in range(places)]
        kind = "added without what was carried"
        if self.sign == "-":
            kind = "subtracted without what was borrowed"
        columns(product, bottoms, self.sign, kind)
        return steps


def completion(steps):
    return "".join(f" {step}" for step in steps)


def judge(problem, text):
    """Reward: 1 if the last number is the answer, else 0. Score: half for the answer and
    half for the share of the steps before the first mistake, times the share of the
    steps written that were needed."""
    needed, written = problem.steps(), text.split()
    right = 0
    for step in written:
        if right < len(needed) and step == needed[right]:
            right += 1
        elif right == 0 or step != needed[right - 1]:
            break
    reward = float(bool(written) and written[-1] == str(problem.answer))
    brevity = len(needed) / max(len(written), len(needed))
    return {"reward": reward, "score": (reward + right / len(needed)) / 2 * brevity}


def write_data(folder, seed, sizes, factor):
    """All data of a seed. No problem occurs twice; the test depends on the seed alone."""
    seen = set()

    def problems(name):
        rng = random.Random(f"{seed} {name}")
        chosen = []
        while len(chosen) < sizes[name]:
            problem = Problem.draw(rng)
            if problem.prompt not in seen:
                seen.add(problem.prompt)
                chosen.append(problem)
        return chosen

    def trace(problem, slips):
        text = completion(problem.steps(slips))
        return {"prompt": problem.prompt, "completion": text} | judge(problem, text)

    def question(problem):
        return {"prompt": problem.prompt, "answer": str(problem.answer)}

    slips = careless(random.Random(f"{seed} slips"), factor)
    rows = {name: problems(name) for name in ("test", "validation", "problems", "traces")}
    rows = {
        "test": map(question, rows["test"]),
        "validation": [trace(problem, never) for problem in rows["validation"]],
        "problems": map(question, rows["problems"]),
        "traces": [trace(problem, slips) for problem in rows["traces"]],
    }
    for name, of_name in rows.items():
        text = "".join(json.dumps(row) + "\n" for row in of_name)
        (folder / f"{name}.jsonl").write_text(text)


def write_model(folder, seed, hidden=96, layers=3, heads=3, context=192):
    """A Llama with random weights and a token for each character, as a Hugging Face
    folder."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = len(ALPHABET) + 1
    inner, head = 2 * hidden, hidden // heads
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "head_dim": head,
        "intermediate_size": inner,
        "hidden_act": "silu",
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": vocabulary - 1,
        "torch_dtype": "float32",
    }
    shapes = {
        "model.embed_tokens.weight": [vocabulary, hidden],
        "model.norm.weight": [hidden],
        "lm_head.weight": [vocabulary, hidden],
    }
    for layer in range(layers):
        of_layer = {
            "input_layernorm": [hidden],
            "post_attention_layernorm": [hidden],
            **{f"self_attn.{part}_proj": [hidden, hidden] for part in "qkvo"},
            "mlp.gate_proj": [inner, hidden],
            "mlp.up_proj": [inner, hidden],
            "mlp.down_proj": [hidden, inner],
        }
        for name, shape in of_layer.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    rng = random.Random(f"{seed} weights")
    header, values = {}, array("f")
    for name, shape in shapes.items():
        begin = 4 * len(values)
        if len(shape) == 1:
            values.extend([1.0] * shape[0])
        else:
            values.extend(rng.gauss(0.0, 0.02) for _ in range(shape[0] * shape[1]))
        offsets = [begin, 4 * len(values)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
    if sys.byteorder == "big":
        values.byteswap()
    text = json.dumps(header).encode()
    whole = struct.pack("<Q", len(text)) + text + values.tobytes()
    (folder / "model.safetensors").write_bytes(whole)
    spaces = dict.fromkeys(("add_prefix_space", "trim_offsets", "use_regex"), False)
    level = {"type": "ByteLevel"} | spaces
    added = {"id": vocabulary - 1, "content": END, "special": True}
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    tokens = {character: id for id, character in enumerate(ALPHABET)}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [added | dict.fromkeys(flags, False)],
        "pre_tokenizer": level,
        "decoder": level,
        "model": {"type": "BPE", "vocab": tokens, "merges": []},
    }
    tokenizer_config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END}
    files = {
        "config.json": config,
        "generation_config.json": {"eos_token_id": vocabulary - 1},
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": tokenizer_config,
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    for line in sys.stdin:
        row = json.loads(line)
        print(json.dumps(judge(Problem.parse(row["prompt"]), row["completion"])), flush=True)
