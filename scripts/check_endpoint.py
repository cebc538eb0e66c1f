#!/usr/bin/env python3
"""Checks `iwsft sample --endpoint` against real servers.

Usage (from the repository root):

    pip install -r scripts/requirements-endpoint.txt
    cargo build --release -p iwsft
    python scripts/check_endpoint.py [--servers transformers llama.cpp] [--binary PATH]

Makes a tiny random Llama with a tokenizer and a chat template, serves it on
127.0.0.1 with `transformers serve` and with llama.cpp's server, and checks as a
user would: draws of texts and conversations, greedy completions and
log-probabilities equal to those that iwsft computes from the folder itself, going
on after `kill -9`, and a server that is killed and started again in the middle.
`--servers vllm` does the same with vLLM, where `vllm` is on the PATH.

Exit status: 0 if all holds, 1 if something does not.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[1]
END = "<|end|>"
CONTEXT = 512
TEMPLATE = (
    "{%- for message in messages %}{{ message.role }}: {{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{%- if add_generation_prompt %}assistant: {% endif %}"
)
# Of log-probabilities. llama.cpp computes attention in f16.
TOLERANCE = 1e-2


# ---- the model ----


def make_model(folder: Path) -> None:
    """A random Llama whose tokens are printable ASCII characters, so that every
    token is a whole character: llama.cpp tells no others."""
    characters = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ", "th"]
    vocab = {token: index for index, token in enumerate(characters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[("t", "h")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, clean_up_tokenization_spaces=False
    )
    fast.chat_template = TEMPLATE
    end = len(characters)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=end + 1,
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=None,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, 0.1)
    # transformers takes both from the model alone, and would be greedy or
    # draw from the 50 likeliest tokens.
    model.generation_config.do_sample = True
    model.generation_config.top_k = 0
    model.save_pretrained(folder)
    fast.save_pretrained(folder)


def make_gguf(folder: Path, path: Path) -> None:
    """The same model in llama.cpp's format."""
    import gguf

    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)

    tokens = dict((index, token) for token, index in tokenizer["model"]["vocab"].items())
    types = {index: gguf.TokenType.NORMAL for index in tokens}
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]], types[added["id"]] = added["content"], gguf.TokenType.CONTROL
    order = range(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([tokens[index] for index in order])
    writer.add_token_types([types[index] for index in order])
    writer.add_token_merges(["t h"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)

    def interleaved(matrix: np.ndarray, heads: int) -> np.ndarray:
        # llama.cpp rotates neighbours, Hugging Face rotates halves of a head.
        split = matrix.reshape(heads, 2, matrix.shape[0] // heads // 2, *matrix.shape[1:])
        return split.swapaxes(1, 2).reshape(matrix.shape)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, tensor in load_file(folder / "model.safetensors").items():
        tensor = tensor.astype(np.float32)
        if "q_proj" in name:
            tensor = interleaved(tensor, heads)
        if "k_proj" in name:
            tensor = interleaved(tensor, groups)
        new = names.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(new, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- the servers ----


def llama_server(path: str, port: int) -> None:
    """Serves a GGUF file until killed; runs in a process of its own."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = 4 * CONTEXT
    params.n_parallel = 4
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.use_jinja = True
    _server = xllamacpp.Server(params)
    while True:
        time.sleep(1)


class Server:
    """One server process that can be killed and started again on its port."""

    def __init__(self, kind: str, folder: Path, scratch: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.kind, self.log = kind, scratch / f"{kind}.log"
        bin = Path(sys.executable).parent
        # transformers lists the models of its cache, not the one that it serves.
        self.model = str(folder) if kind == "transformers" else None
        place = ["--host", "127.0.0.1", "--port", str(self.port)]
        if kind == "transformers":
            self.command = [str(bin / "transformers"), "serve", str(folder), "--device", "cpu", *place]
        elif kind == "vllm":
            limits = ["--max-model-len", str(CONTEXT), "--dtype", "float32", "--enforce-eager"]
            self.command = ["vllm", "serve", str(folder), *limits, *place]
        else:
            gguf = scratch / "model.gguf"
            make_gguf(folder, gguf)
            self.command = [sys.executable, __file__, "--llama-server", str(gguf), str(self.port)]
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        end = time.monotonic() + 300
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise SystemExit(f"{self.kind} did not start:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


# ---- the checks ----


class Checks:
    """What must hold for one server."""

    def __init__(self, binary: Path, folder: Path, scratch: Path, server: Server) -> None:
        self.binary, self.folder, self.scratch, self.server = binary, folder, scratch, server

    def command(self, *args: object) -> list[str]:
        model = ["--model", self.server.model] if self.server.model else []
        parts = [self.binary, "sample", "--endpoint", self.server.url, *model, *args]
        return [str(part) for part in parts]

    def run(self, *args: object) -> str:
        """Runs to the end, which must be a good one; returns standard error."""
        ended = subprocess.run(self.command(*args), capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    def own(self, *args: object) -> dict:
        """What iwsft says itself, with the model folder."""
        command = [self.binary, "sample", self.folder, *args, "--json"]
        ended = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def prompts(self, count: int) -> Path:
        path = self.scratch / f"prompts-{count}.jsonl"
        lines = [json.dumps({"prompt": f"What is {n} + {2 * n}?"}) for n in range(count)]
        path.write_text("\n".join(lines) + "\n")
        return path

    def out(self, name: str) -> Path:
        return self.scratch / f"{self.server.kind}-{name}.jsonl"

    def sampled(self, name: str, *args: object, count: int = 6) -> list[dict]:
        out = self.out(name)
        self.said = self.run("--prompts", self.prompts(count), "--out", out, *args)
        return [json.loads(line) for line in out.read_text().splitlines()]

    # Each check below prints nothing if it holds.

    def draws_of_texts(self) -> None:
        rows = self.sampled("text", "-k", 4, "--max-tokens", 20)
        expected = [f"What is {n} + {2 * n}?" for n in range(6) for _ in range(4)]
        assert [row["prompt"] for row in rows] == expected
        assert [row["draw"] for row in rows] == [0, 1, 2, 3] * 6
        for n in range(6):
            texts = {row["completion"] for row in rows[4 * n : 4 * n + 4]}
            assert len(texts) > 1, f"all draws of a prompt are the same: {texts}"

    def draws_of_conversations(self) -> None:
        rows = self.sampled("chat", "--chat", "-k", 2, "--max-tokens", 20)
        assert len(rows) == 12
        for row in rows:
            assert row["prompt"][0]["role"] == "user", row
            assert row["completion"][0]["role"] == "assistant", row

    def seeds_repeat_what_was_drawn(self) -> None:
        one = ["--max-tokens", 20, "--concurrency", 1, "-k", 2, "--seed", 7]
        first, second = (self.sampled(name, *one) for name in ("seed-1", "seed-2"))
        assert [row["completion"] for row in first] == [row["completion"] for row in second]

    def greedy_completions_are_iwsfts_own(self) -> None:
        for chat in ([], ["--chat"]):
            greedy = ["--max-tokens", 24, "--temperature", 0, *chat]
            for row in self.sampled(f"greedy{len(chat)}", *greedy):
                prompt = row["prompt"] if not chat else row["prompt"][0]["content"]
                text = row["completion"] if not chat else row["completion"][0]["content"]
                own = self.own("--prompt", prompt, *greedy)["completion"]
                assert text == own, f"{prompt!r}: the server says {text!r}, iwsft {own!r}"

    def log_probs_are_iwsfts_own(self) -> None:
        rows = self.sampled("log-probs", "-k", 2, "--max-tokens", 20)
        if self.server.kind == "transformers":
            assert not any("ref_log_probs" in row for row in rows)
            return
        compared = 0
        for row in rows:
            tokens, log_probs = row["completion_tokens"], row["ref_log_probs"]
            assert len(tokens) == len(log_probs), row
            out = self.scratch / "logits.safetensors"
            text = row["prompt"] + row["completion"]
            command = [self.binary, "logits", self.folder, "--text", text, "--out", out]
            subprocess.run([str(part) for part in command], check=True, capture_output=True)
            own = load_file(out)
            ended = len(tokens) - (row["finish"] == "stop")
            if own["tokens"][len(own["tokens"]) - ended :].tolist() != tokens[:ended]:
                continue  # "t" and "h" were drawn one by one
            logits = own["logits"].astype(np.float64)
            normal = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            begin = len(own["tokens"]) - ended - 1
            own = [normal[begin + i, token] for i, token in enumerate(tokens)]
            error = np.abs(np.array(own) - np.array(log_probs)).max()
            assert error < TOLERANCE, f"log-probabilities differ by {error}"
            compared += 1
        assert compared > 5, "too few completions could be compared"
        tempered = self.sampled("tempered", "--max-tokens", 8, "--temperature", 0.7)
        assert all("ref_log_probs" not in row and "model_log_probs" in row for row in tempered)
        assert "model_log_probs" in self.said, self.said

    def begin(self, name: str) -> tuple[subprocess.Popen, Path, list[object]]:
        """Starts a longer command and waits until it has done a part."""
        out = self.out(name)
        args = ["--prompts", self.prompts(60), "--out", out, "--max-tokens", 120, "--concurrency", 3]
        errors = open(self.scratch / "said.txt", "w")
        process = subprocess.Popen(self.command(*args), stdout=subprocess.DEVNULL, stderr=errors)
        journal = Path(f"{out}.journal")
        while not journal.exists() or len(journal.read_text().splitlines()) < 8:
            said = (self.scratch / "said.txt").read_text()
            assert process.poll() is None, f"over too early: {said}"
            time.sleep(0.002)
        return process, journal, args

    def goes_on_after_a_kill(self) -> None:
        process, journal, args = self.begin("killed")
        process.kill()
        process.wait()
        entries = [json.loads(line) for line in journal.read_text().splitlines()[1:] if line[-1] == "}"]
        assert 0 < len(entries) < 60
        said = self.run(*args)
        assert f"{len(entries)} of 60" in said, said
        rows = [json.loads(line) for line in self.out("killed").read_text().splitlines()]
        assert len(rows) == 60 and not journal.exists()
        for entry in entries:
            assert rows[entry["index"]]["completion"] == entry["completion"]["text"]

    def outlives_a_server_that_restarts(self) -> None:
        process, _, _ = self.begin("restarted")
        self.server.kill()
        time.sleep(1)
        self.server.start()
        status = process.wait(timeout=300)
        said = (self.scratch / "said.txt").read_text()
        assert status == 0, said
        assert "asking again" in said, said
        assert len(self.out("restarted").read_text().splitlines()) == 60

    def a_wrong_address_is_told(self) -> None:
        for url in ("http://127.0.0.1:9/v1", f"{self.server.url}/nowhere"):
            command = self.command("--prompt", "hello")
            command[command.index(self.server.url)] = url
            ended = subprocess.run(command, capture_output=True, text=True)
            assert ended.returncode == 2 and url in ended.stderr, ended

    def all(self) -> bool:
        good = True
        for check in (
            self.draws_of_texts,
            self.draws_of_conversations,
            self.seeds_repeat_what_was_drawn,
            self.greedy_completions_are_iwsfts_own,
            self.log_probs_are_iwsfts_own,
            self.goes_on_after_a_kill,
            self.outlives_a_server_that_restarts,
            self.a_wrong_address_is_told,
        ):
            name = check.__name__.replace("_", " ")
            start = time.monotonic()
            try:
                check()
                print(f"{self.server.kind}: {name}: ok ({time.monotonic() - start:.1f} s)", flush=True)
            except AssertionError as error:
                good = False
                print(f"{self.server.kind}: {name}: FAILED: {error}", flush=True)
        return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--servers",
        nargs="+",
        choices=["transformers", "llama.cpp", "vllm"],
        default=["transformers", "llama.cpp"],
    )
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/iwsft")
    parser.add_argument("--llama-server", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.llama_server:
        path, port = arguments.llama_server
        llama_server(path, int(port))
    if not arguments.binary.is_file():
        parser.error(f"{arguments.binary}: no such file; cargo build --release -p iwsft")
    # Servers do not outlive this script.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    good = True
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        model = scratch / "model"
        make_model(model)
        for kind in arguments.servers:
            server = Server(kind, model, scratch)
            try:
                good &= Checks(arguments.binary.resolve(), model, scratch, server).all()
            finally:
                server.kill()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
