"""A Whisper folder of CTranslate2 written as a Hugging Face folder, complete for recognition with `transformers`.

What CTranslate2 keeps in `config.json` (suppressed tokens, alignment heads) and the ids of the special tokens, taken
from `tokenizer.json` by their names, make the generation config.
"""

import json
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from inattention.encoders.ctranslate2.model_file import CTranslate2Error, read_model_file
from inattention.encoders.ctranslate2.whisper_weights import WhisperSizes, whisper_weights
from inattention.encoders.quiet import quiet

MULTILINGUAL_VOCABULARY = 51_865  # and more; the English models have one token less (OpenAI's own rule)
MAX_INITIAL_TIMESTAMP = 50  # of 20 ms each, as OpenAI decodes
LONGEST_TEXT = 1024  # tokens; longer texts are warned about, as with OpenAI's folders
LARGEST_JSON = 2**26  # bytes
_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_RENAMED = {"<|iw|>": "<|he|>"}  # Hebrew: the code in older tokenizers, the one that `transformers` asks for
_TIMESTAMP = "<|{:.2f}|>"
_TIMESTAMPS = 1501  # 0 to 30 s


@dataclass(frozen=True)
class ImportedWhisper:
    """A written Hugging Face folder.

    Attributes:
        folder: the folder.
        sizes: of the model.
        multilingual: whether it transcribes other languages than English.
    """

    folder: Path
    sizes: WhisperSizes
    multilingual: bool

    def summary(self) -> str:
        """Return one line on what was written."""
        sizes = self.sizes
        return (
            f"Whisper, {'multilingual' if self.multilingual else 'English'}: {sizes.encoder_layers} encoder and "
            f"{sizes.decoder_layers} decoder layers, width {sizes.width}, {sizes.encoder_heads} heads, "
            f"{sizes.vocabulary} tokens"
        )


def import_whisper(folder: str | Path, out: str | Path) -> ImportedWhisper:
    """Write a Whisper folder of CTranslate2 as a Hugging Face folder.

    Nothing is left behind if it fails.

    Args:
        folder: with model.bin, config.json and tokenizer.json.
        out: new or empty folder.

    Raises:
        CTranslate2Error: if the folder cannot be imported.
        ValueError: if `transformers` is not installed, or `out` exists and is not empty.
    """
    folder, out = Path(folder), Path(out)
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise ValueError("install transformers to import Whisper from CTranslate2") from None
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"{out}: exists already; choose another folder, or remove it")
    if not (folder / "model.bin").is_file():
        raise CTranslate2Error(f"{folder}: contains no model.bin, so it is not a model folder of CTranslate2")
    tokens = _tokens(folder / "tokenizer.json")
    settings = _settings(folder / "config.json")
    try:
        sizes, state = whisper_weights(read_model_file(folder / "model.bin"))
    except CTranslate2Error as error:
        raise CTranslate2Error(
            str(error) if str(folder) in str(error) else f"{folder / 'model.bin'}: {error}"
        ) from None
    if max(tokens.values()) >= sizes.vocabulary:
        raise CTranslate2Error(
            f"{folder}: tokenizer.json has the token {max(tokens.values())}, model.bin has {sizes.vocabulary} tokens"
        )
    generation = _generation(tokens, settings, sizes, folder)
    with _new_folder(out) as written:
        _write_model(sizes, state, generation, written)
        _write_processor(folder / "tokenizer.json", sizes, tokens, written)
    return ImportedWhisper(out, sizes, generation["is_multilingual"])


def _json(path: Path) -> Any:
    """Read a JSON object of a bounded size."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise CTranslate2Error(f"{path}: is larger than {LARGEST_JSON} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CTranslate2Error(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CTranslate2Error(f"{path}: is not valid JSON ({error})") from None
    if not isinstance(content, dict):
        raise CTranslate2Error(f"{path}: is not a JSON object")
    return content


def _tokens(path: Path) -> dict[str, int]:
    """Return the ids of the special tokens by their names; the file is one that `tokenizers` can read."""
    from tokenizers import Tokenizer

    if not path.is_file():
        raise CTranslate2Error(
            f"{path.parent}: contains no tokenizer.json; copy that of the model's original (such as "
            "openai/whisper-tiny.en) into it"
        )
    _json(path)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise CTranslate2Error(f"{path}: is not a tokenizer ({' '.join(str(error).split())})") from None
    tokens = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items()}
    for name in ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"):
        if name not in tokens:
            raise CTranslate2Error(f"{path}: has no token {name}, so it is not a tokenizer of Whisper")
    return tokens


def _settings(path: Path) -> dict[str, Any]:
    """Return the checked settings of decoding; a folder without config.json has none."""
    if not path.is_file():
        return {}
    content = _json(path)

    def whole(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31

    ids = {name: content.get(name, []) for name in ("suppress_ids", "suppress_ids_begin")}
    heads = content.get("alignment_heads") or []
    for name, value in ids.items():
        # CTranslate2 writes -1 for the tokens that Whisper suppresses anyway.
        if not isinstance(value, list) or not all(whole(it) or it == -1 for it in value):
            raise CTranslate2Error(f"{path}: {name} is not a list of token ids")
    if not isinstance(heads, list) or not all(
        isinstance(h, list) and len(h) == 2 and all(map(whole, h)) for h in heads
    ):
        raise CTranslate2Error(f"{path}: alignment_heads is not a list of pairs of layer and head")
    return {**ids, "alignment_heads": heads}


def _generation(tokens: dict[str, int], settings: dict[str, Any], sizes: WhisperSizes, folder: Path) -> dict[str, Any]:
    """Return the settings of generation under the names of `transformers`."""
    end, start = tokens["<|endoftext|>"], tokens["<|startoftranscript|>"]
    multilingual = sizes.vocabulary >= MULTILINGUAL_VOCABULARY
    found: dict[str, Any] = {
        "bos_token_id": end if multilingual else start,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": start,
        "no_timestamps_token_id": tokens["<|notimestamps|>"],
        "is_multilingual": multilingual,
        "max_length": sizes.target_positions,
        "max_initial_timestamp_index": MAX_INITIAL_TIMESTAMP,
        "return_timestamps": False,
    }
    if "<|startofprev|>" in tokens:
        found["prev_sot_token_id"] = tokens["<|startofprev|>"]
    for name, source in (("suppress_tokens", "suppress_ids"), ("begin_suppress_tokens", "suppress_ids_begin")):
        ids = sorted({number for number in settings.get(source, []) if number >= 0})
        if ids and ids[-1] >= sizes.vocabulary:
            raise CTranslate2Error(f"{folder / 'config.json'}: {source} has {ids[-1]}; there are {sizes.vocabulary}")
        found |= {name: ids} if ids else {}
    heads = settings.get("alignment_heads")
    if heads:
        if any(layer >= sizes.decoder_layers or head >= sizes.decoder_heads for layer, head in heads):
            raise CTranslate2Error(f"{folder / 'config.json'}: alignment_heads has a head that the decoder has not")
        found["alignment_heads"] = heads
    return found | (_languages_and_tasks(tokens, folder) if multilingual else {})


def _languages_and_tasks(tokens: dict[str, int], folder: Path) -> dict[str, Any]:
    languages = {name: number for name, number in tokens.items() if _LANGUAGE.fullmatch(name)}
    for before, now in _RENAMED.items():
        if before in languages:
            languages.setdefault(now, languages[before])
    tasks = {task: tokens[f"<|{task}|>"] for task in ("transcribe", "translate") if f"<|{task}|>" in tokens}
    if not languages or "transcribe" not in tasks:
        raise CTranslate2Error(f"{folder / 'tokenizer.json'}: has no tokens of languages and tasks")
    # Without a task `transformers` leaves its token out of the prompt, and the transcripts get worse.
    return {"lang_to_id": languages, "task_to_id": tasks, "task": "transcribe"}


def _write_model(sizes: WhisperSizes, state: dict[str, torch.Tensor], generation: dict[str, Any], out: Path) -> None:
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    ids = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    config = WhisperConfig(
        vocab_size=sizes.vocabulary,
        num_mel_bins=sizes.mel_bins,
        d_model=sizes.width,
        encoder_layers=sizes.encoder_layers,
        decoder_layers=sizes.decoder_layers,
        encoder_attention_heads=sizes.encoder_heads,
        decoder_attention_heads=sizes.decoder_heads,
        encoder_ffn_dim=sizes.encoder_feed_forward,
        decoder_ffn_dim=sizes.decoder_feed_forward,
        max_source_positions=sizes.source_positions,
        max_target_positions=sizes.target_positions,
        begin_suppress_tokens=None,
        **{name: generation[name] for name in ids},
    )
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced
        model = WhisperForConditionalGeneration(config)
    model.load_state_dict(state, strict=True, assign=True)
    model.tie_weights()
    with quiet():
        model.save_pretrained(out)
    GenerationConfig.from_dict(generation).save_pretrained(out)  # instead of a default one


def _write_processor(tokenizer_file: Path, sizes: WhisperSizes, tokens: dict[str, int], out: Path) -> None:
    """Write the feature extractor and the tokenizer, to which the tokens of timestamps are added if it has none."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import WhisperFeatureExtractor, WhisperTokenizer

    WhisperFeatureExtractor(feature_size=sizes.mel_bins).save_pretrained(out)
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    first = tokens["<|notimestamps|>"] + 1
    if tokenizer.get_vocab_size() == first and first + _TIMESTAMPS <= sizes.vocabulary:
        names = [_TIMESTAMP.format(0.02 * number) for number in range(_TIMESTAMPS)]
        tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in names])
    names = [name for name, number in tokens.items() if number != tokens["<|endoftext|>"]]
    whole = WhisperTokenizer(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        additional_special_tokens=names,
        model_max_length=LONGEST_TEXT,
    )
    whole.save_pretrained(out)


@contextmanager
def _new_folder(out: Path) -> Generator[Path]:
    """Yield a temporary folder that takes the place of `out` at the end, and is removed if the block raises."""
    out = out.absolute()
    temporary = out.with_name(f".{out.name}.writing-{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.rename(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
