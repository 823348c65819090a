"""Tiny encoders of `transformers` with random weights, of every family, made from their configs."""

from pathlib import Path
from typing import Any

import torch

CONVOLUTIONS: dict[str, Any] = {
    "conv_dim": (8, 8),
    "conv_kernel": (10, 4),
    "conv_stride": (5, 4),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
SIZES: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "initializer_range": 0.3,
}
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
WAVEFORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2", {}),
    "wav2vec2-layer": ("Wav2Vec2", LAYER_NORM),
    "hubert": ("Hubert", {}),
    "hubert-layer": ("Hubert", LAYER_NORM),
    "wavlm": ("WavLM", {}),
    "wavlm-layer": ("WavLM", LAYER_NORM),
    "unispeech-sat": ("UniSpeechSat", {}),
    "data2vec-audio": ("Data2VecAudio", {"conv_pos_kernel_size": 3, "num_conv_pos_embeddings": 2}),
}
WHISPER: dict[str, Any] = {
    "vocab_size": 20,
    "num_mel_bins": 8,
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_source_positions": 50,
    "max_target_positions": 16,
    "init_std": 0.3,
    "begin_suppress_tokens": None,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1),
}


def waveform_model(family: str) -> Any:
    """One of `WAVEFORMS`."""
    name, settings = WAVEFORMS[family]
    return _made(f"{name}Model", f"{name}Config", {**SIZES, **CONVOLUTIONS, **settings})


def bert_model(**settings: Any) -> Any:
    """Wav2Vec2-BERT."""
    sizes = {**SIZES, "conv_depthwise_kernel_size": 5, **settings}
    return _made("Wav2Vec2BertModel", "Wav2Vec2BertConfig", sizes)


def whisper_model(**settings: Any) -> Any:
    """Whisper with its decoder, of at most 1 s."""
    return _made("WhisperForConditionalGeneration", "WhisperConfig", {**WHISPER, **settings})


def write_whisper(folder: Path, seconds: int = 2) -> Path:
    """Write a Whisper of two layers with a window of some seconds and a tokenizer of bytes."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.pre_tokenizers import ByteLevel

    special = ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    vocabulary = {symbol: index for index, symbol in enumerate(sorted(ByteLevel.alphabet()))}
    vocabulary |= {token: len(vocabulary) + index for index, token in enumerate(special)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    end, begin, plain = (vocabulary[token] for token in special)
    transformers.WhisperTokenizer(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    config = transformers.WhisperConfig(
        vocab_size=len(vocabulary), d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_source_positions=50 * seconds,
        num_mel_bins=80, pad_token_id=end, bos_token_id=end, eos_token_id=end, decoder_start_token_id=begin,
        begin_suppress_tokens=None, init_std=0.15,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.WhisperForConditionalGeneration(config)
    model.save_pretrained(folder)
    transformers.GenerationConfig(
        is_multilingual=False, no_timestamps_token_id=plain, max_length=40, decoder_start_token_id=begin,
        eos_token_id=end, pad_token_id=end, bos_token_id=end,
    ).save_pretrained(folder)  # fmt: skip
    transformers.WhisperFeatureExtractor(chunk_length=seconds).save_pretrained(folder)
    return folder


def speech(*seconds: float, seed: int = 0) -> list[torch.Tensor]:
    """Noise of these durations at 16 kHz, not centred, so that normalisation matters."""
    generator = torch.Generator().manual_seed(seed)
    return [0.1 * torch.randn(round(s * 16_000), generator=generator) + 0.05 for s in seconds]


def _made(model: str, config: str, settings: dict[str, Any]) -> Any:
    import transformers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, model)(getattr(transformers, config)(**settings)).eval()
