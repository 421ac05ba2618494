"""A chat model of random numbers, 484 KB: the real engine serves it in milliseconds, and its text is noise.

It checks the wire (framing, usage, errors, limits), never an answer. Byte-level vocabulary, two layers,
context 4096.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

LAYERS, WIDTH, FEED_FORWARD, HEADS, KV_HEADS = 2, 64, 160, 4, 2
TEMPLATE = (
    "{% for m in messages %}{{'<|im_start|>'+m['role']+'\n'+m['content']+'<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)


def write(path: Path, feed_forward: int = FEED_FORWARD) -> None:
    """Write the model to `path`: the same bytes every time. With a wider `feed_forward` it takes longer to load."""
    writer = gguf.GGUFWriter(str(path), "llama")
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *_byte_alphabet()]
    _describe(writer, tokens, feed_forward)
    _fill(writer, len(tokens), feed_forward)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-in for each of the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    stand_ins = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [stand_ins[byte] for byte in range(256)]


def _describe(writer: gguf.GGUFWriter, tokens: list[str], feed_forward: int) -> None:
    writer.add_name("llmswitch-tiny-random")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * 256)
    writer.add_token_merges(["a b"])  # the engine wants one at least
    writer.add_vocab_size(len(tokens))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _fill(writer: gguf.GGUFWriter, vocabulary: int, feed_forward: int) -> None:
    random = np.random.default_rng(0)

    def noise(name: str, *shape: int) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) * 0.08).astype(np.float32))

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    kv_width = WIDTH // HEADS * KV_HEADS
    noise("token_embd.weight", vocabulary, WIDTH)
    ones("output_norm.weight")
    noise("output.weight", vocabulary, WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm.weight")
        ones(f"{block}.ffn_norm.weight")
        noise(f"{block}.attn_q.weight", WIDTH, WIDTH)
        noise(f"{block}.attn_k.weight", kv_width, WIDTH)
        noise(f"{block}.attn_v.weight", kv_width, WIDTH)
        noise(f"{block}.attn_output.weight", WIDTH, WIDTH)
        noise(f"{block}.ffn_gate.weight", feed_forward, WIDTH)
        noise(f"{block}.ffn_up.weight", feed_forward, WIDTH)
        noise(f"{block}.ffn_down.weight", WIDTH, feed_forward)
