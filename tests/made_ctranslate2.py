"""Whisper folders in the format of CTranslate2, of any size and type of weights, made from models of `transformers`."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

QUANTISED = ("int8", "int16")
TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
LANGUAGES = ("en", "de", "iw")
TASKS = ("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nocaptions|>", "<|notimestamps|>")
SETTINGS = {
    "activation": 3,
    "alibi": 0,
    "pre_norm": 1,
    "scale_embeddings": 0,
    "start_from_zero_embedding": 0,
    "scale_alibi": 0,
}

Variables = dict[str, tuple[str, np.ndarray]]


def tokenizer_json(words: int = 300) -> dict[str, Any]:
    """A byte-level tokenizer with this many ordinary tokens, followed by Whisper's special ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {name: number for number, name in enumerate([*letters, *(f"Ġ{n}" for n in range(words - 256))])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES), *TASKS]
    tokenizer.add_special_tokens(special)
    return json.loads(tokenizer.to_str())


def random_whisper(*, vocabulary: int = 320, **sizes: Any) -> torch.nn.Module:
    """A small Whisper of random weights, all of which matter."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    settings: dict[str, Any] = {
        "vocab_size": vocabulary,
        "num_mel_bins": 8,
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 20,
        "max_source_positions": 50,
        "max_target_positions": 32,
        "begin_suppress_tokens": None,
    }
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 300)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WhisperForConditionalGeneration(WhisperConfig(**{**settings, **ids, **sizes}))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias") or "norm" in name:
                    parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.eval()


class _Writer:
    """Collects the variables of `model.bin`, by name; those that CTranslate2 quantises are quantised."""

    def __init__(self, kind: str) -> None:
        self.kind, self.other = kind, "float32" if kind in QUANTISED else kind
        self.found: Variables = {}

    def put(self, name: str, values: torch.Tensor) -> None:
        self.found[name] = self.other, stored(values, self.other)

    def matrix(self, name: str, values: torch.Tensor) -> None:
        if self.kind not in QUANTISED:
            return self.put(name, values)
        rows = values.flatten(1).numpy()
        largest = np.abs(rows).max(1)
        if self.kind == "int8":
            scale = 127 / np.where(largest == 0, 127, largest)
            numbers = rows * scale[:, None]
        else:
            scale = np.float32(2**10 / largest.max())
            numbers = rows * scale
        self.found[name] = self.kind, np.rint(numbers).astype(self.kind).reshape(values.shape)
        self.found[f"{name}_scale"] = "float32", np.asarray(scale, np.float32)
        return None

    def linear(self, name: str, *layers: torch.nn.Linear) -> None:
        self.matrix(f"{name}/weight", torch.cat([it.weight.data for it in layers]))
        biases = [it.bias.data if it.bias is not None else torch.zeros(it.out_features) for it in layers]
        self.put(f"{name}/bias", torch.cat(biases))

    def norm(self, name: str, layer: torch.nn.LayerNorm) -> None:
        self.put(f"{name}/gamma", layer.weight.data)
        self.put(f"{name}/beta", layer.bias.data)

    def layer(self, place: str, layer: Any) -> None:
        self.norm(f"{place}/self_attention/layer_norm", layer.self_attn_layer_norm)
        own = layer.self_attn
        self.linear(f"{place}/self_attention/linear_0", own.q_proj, own.k_proj, own.v_proj)
        self.linear(f"{place}/self_attention/linear_1", own.out_proj)
        if hasattr(layer, "encoder_attn"):
            cross = layer.encoder_attn
            self.norm(f"{place}/attention/layer_norm", layer.encoder_attn_layer_norm)
            self.linear(f"{place}/attention/linear_0", cross.q_proj)
            self.linear(f"{place}/attention/linear_1", cross.k_proj, cross.v_proj)
            self.linear(f"{place}/attention/linear_2", cross.out_proj)
        self.norm(f"{place}/ffn/layer_norm", layer.final_layer_norm)
        self.linear(f"{place}/ffn/linear_0", layer.fc1)
        self.linear(f"{place}/ffn/linear_1", layer.fc2)


def variables_of(model: Any, kind: str = "float32") -> Variables:
    """The variables of `model.bin`, in the order in which CTranslate2 writes layers."""
    writer = _Writer(kind)
    encoder, decoder, config = model.model.encoder, model.model.decoder, model.config
    for name in ("conv1", "conv2"):
        writer.matrix(f"encoder/{name}/weight", getattr(encoder, name).weight.data)
        writer.put(f"encoder/{name}/bias", getattr(encoder, name).bias.data)
    writer.matrix("decoder/embeddings/weight", decoder.embed_tokens.weight.data)
    heads = {"encoder": config.encoder_attention_heads, "decoder": config.decoder_attention_heads}
    for side, stack in (("encoder", encoder), ("decoder", decoder)):
        writer.put(f"{side}/position_encodings/encodings", stack.embed_positions.weight.data)
        writer.norm(f"{side}/layer_norm", stack.layer_norm)
        writer.found[f"{side}/num_heads"] = "int16", np.asarray(heads[side], np.int16)
        for number, layer in enumerate(stack.layers):
            writer.layer(f"{side}/layer_{number}", layer)
    for name, value in SETTINGS.items():
        writer.found[f"decoder/{name}"] = "int8", np.asarray(value, np.int8)
    writer.found["decoder/alignment_layer"] = "int16", np.asarray(-1, np.int16)
    return writer.found


def stored(values: torch.Tensor, kind: str) -> np.ndarray:
    """The numbers as they are stored; those of bfloat16 as uint16."""
    if kind == "bfloat16":
        return values.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    return values.numpy().astype(kind)


def model_bin(
    variables: Variables, *, version: int = 6, specification: str = "WhisperSpec", aliases: dict[str, str] | None = None
) -> bytes:
    """The bytes of `model.bin`."""

    def string(text: str) -> bytes:
        data = text.encode() + b"\0"
        return struct.pack("<H", len(data)) + data

    parts = [struct.pack("<I", version), string(specification), struct.pack("<II", 3, len(variables))]
    for name, (kind, values) in variables.items():
        data = values.tobytes()
        head = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
        parts += [string(name), head, struct.pack("<BI", TYPES.index(kind), len(data)), data]
    aliases = {"decoder/projection/weight": "decoder/embeddings/weight"} if aliases is None else aliases
    parts.append(struct.pack("<I", len(aliases)))
    parts += [string(alias) + string(name) for alias, name in aliases.items()]
    return b"".join(parts)


def write_ctranslate2(folder: Path, model: Any, kind: str = "float32", *, words: int = 300) -> Path:
    """Write a folder as faster-whisper uses it."""
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(model_bin(variables_of(model, kind)))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(words)))
    (folder / "config.json").write_text(
        json.dumps(
            {
                "alignment_heads": [[0, 1], [0, 3]],
                "lang_ids": [words + 2],
                "suppress_ids": [7, 1, words + 1],
                "suppress_ids_begin": [220, words],
            }
        )
    )
    return folder
