"""Distillation of Whisper: the teacher hears 30 s, as it was trained; the student may hear its speech alone.

Hidden states alone do not cure Whisper's decoding loops on short input. So the loss also holds the divergence between
teacher and student in the distribution of the next token, given the text. Hidden states come first, which is faster;
then both, the divergence with a small weight: on an encoder that the decoder was not trained with, its gradient is much
the larger one, and a clipped step would follow it alone (`recipes/whisper/gradients.py` measures both).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from inattention.attention import AttentionMechanism
from inattention.conversion.trained.config import TrainedConversionConfig
from inattention.conversion.trained.speech import SAMPLING_RATE, Example
from inattention.conversion.trained.task import Loss, hidden_loss, mixed_precision
from inattention.conversion.trained.teacher import NextTokens, TeacherOutputs, divergence, most_likely
from inattention.encoders.whisper_states import whisper_states

FRAMES_PER_SECOND = 50
LIKELY_TOKENS = 64
MOST_TOKENS = 200
MULTILINGUAL_SIZE = 51_865  # smallest vocabulary of a multilingual model


@dataclass
class WhisperTask:
    """Distillation of a Whisper model.

    Attributes:
        teacher: the trained model.
        extractor: its feature extractor.
        tokenizer: its tokenizer.
        config: settings of the conversion.
    """

    teacher: PreTrainedModel
    extractor: Any
    tokenizer: Any
    config: TrainedConversionConfig

    def __post_init__(self) -> None:
        self.prompt = decoder_prompt(self.teacher, self.tokenizer, self.config.language)
        self.longest = len(self.teacher.model.encoder.embed_positions.weight)

    def mel(self, waveform: Float[Tensor, " samples"]) -> Float[Tensor, "1 mels frames"]:
        """Return the log-mel spectrum of 30 s, as the folder's feature extractor makes it."""
        features = self.extractor(waveform.numpy(), sampling_rate=SAMPLING_RATE, return_tensors="pt")
        return features.input_features.to(self.teacher.device)

    def frames(self, example: Example) -> int:
        """Return the number of frames that the student hears."""
        if example.padded:
            return self.longest
        spoken = int(np.ceil(example.seconds * FRAMES_PER_SECOND))
        return min(self.longest, spoken + example.silence_frames)

    @torch.no_grad()
    def teacher_outputs(self, example: Example) -> TeacherOutputs:
        """Run the teacher on 30 s; without a text, its own transcript is used."""
        mel = self.mel(example.waveform)
        with mixed_precision(self.config.precision, mel.device):
            layers = encode(self.teacher, mel)
            ids = self._tokens(example, layers[-1:])
            logits = decode(self.teacher, layers[-1:], ids)
        log_probabilities, likely = most_likely(logits, LIKELY_TOKENS)
        return TeacherOutputs(
            layers[:, : self.frames(example)].half().cpu(),
            NextTokens(ids.int().cpu(), likely.int().cpu(), log_probabilities.cpu()),
        )

    def hidden(self, student: nn.Module, example: Example, frames: int) -> Float[Tensor, "layers time width"]:
        """Run the student's encoder on its frames."""
        return encode(student, self._heard(example, frames))

    def _heard(self, example: Example, frames: int) -> Float[Tensor, "1 mels frames"]:
        """Return the student's input, two frames of which are one of the encoder."""
        return self.mel(example.waveform)[:, :, : 2 * frames]

    def loss(self, student: nn.Module, example: Example, outputs: TeacherOutputs, *, decoder: bool = True) -> Loss:
        """Return the error of hidden states and, with the decoder, plus the divergence of next tokens."""
        assert outputs.tokens is not None
        mel = self._heard(example, outputs.frames)
        with mixed_precision(self.config.precision, mel.device):
            layers = encode(student, mel)
            ids = outputs.tokens.inputs.long().to(layers.device)
            logits = decode(student, layers[-1:], ids) if decoder else None
        hidden = hidden_loss(layers, outputs.hidden)
        if logits is None:
            return Loss(hidden, {"hidden": float(hidden.detach())})
        tokens = divergence(logits, outputs.tokens)
        total = hidden + self.config.token_weight * tokens
        return Loss(total, {"hidden": float(hidden.detach()), "tokens": float(tokens.detach())})

    def parameters(self, student: nn.Module) -> dict[str, list[nn.Parameter]]:
        """Return the trained parameters; convolutions, positions and token embeddings keep their values."""
        model: Any = student
        encoder, decoder = model.model.encoder, model.model.decoder
        own = mechanism_parameters(encoder)
        known = {id(parameter) for parameter in own}
        fixed = [encoder.conv1, encoder.conv2, encoder.embed_positions, decoder.embed_tokens, decoder.embed_positions]
        known |= {id(parameter) for module in fixed for parameter in module.parameters()}
        tuned = self.config.decoder == "tuned"
        return {
            "weights": [p for p in encoder.parameters() if id(p) not in known],
            "attention": own,
            "decoder": [p for p in decoder.parameters() if id(p) not in known] if tuned else [],
        }

    def _tokens(self, example: Example, hidden: Tensor) -> Tensor:
        """Return prompt, text and end as token ids."""
        end = self.tokenizer.eos_token_id
        if example.text:
            text = self.tokenizer(" " + example.text, add_special_tokens=False).input_ids
        else:
            text, _ = generate(self.teacher, hidden, self.prompt, end, example.seconds)
        return torch.tensor([*self.prompt, *text[:MOST_TOKENS], end], device=hidden.device)


def mechanism_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of all attention mechanisms, except for projections of the input.

    Maps and offsets move further than weights do, and have a learning rate of their own.
    """
    found: list[nn.Parameter] = []
    for mechanism in (it for it in module.modules() if isinstance(it, AttentionMechanism)):
        weights = {id(p) for it in mechanism.modules() if isinstance(it, nn.Linear) for p in it.parameters()}
        found += [p for p in mechanism.parameters() if id(p) not in weights]
    return found


def decoder_prompt(model: PreTrainedModel, tokenizer: Any, language: str) -> list[int]:
    """Return the token ids that a transcript without timestamps begins with.

    Args:
        model: a Whisper model.
        tokenizer: its tokenizer.
        language: code such as ``en``; models for English alone ignore it.

    Raises:
        ValueError: if the model does not know the language, or the tokenizer is none of Whisper's.
    """
    multilingual = getattr(model.generation_config, "is_multilingual", model.config.vocab_size >= MULTILINGUAL_SIZE)
    spoken = [f"<|{language}|>", "<|transcribe|>"] if multilingual else []
    known = tokenizer.get_vocab()
    tokens = ["<|startoftranscript|>", *spoken, "<|notimestamps|>"]
    missing = [token for token in tokens if token not in known]
    if missing == [f"<|{language}|>"]:
        raise ValueError(f"Whisper does not know the language {language!r}; use a code such as en, de or fr")
    if missing:
        raise ValueError(f"the tokenizer is none of Whisper's: it lacks {', '.join(missing)}")
    return [known[token] for token in tokens]


def encode(model: Any, mel: Float[Tensor, "batch mels frames"]) -> Float[Tensor, "layers time width"]:
    """Return the output of each layer of a Whisper encoder; the last one is normalised, as the decoder sees it.

    Args:
        model: a Whisper model.
        mel: log-mel spectrum of one utterance, of any length up to 30 s.
    """
    return torch.cat(whisper_states(model.model.encoder, mel)[1:])


def decode(model: Any, hidden: Float[Tensor, "1 time width"], ids: Tensor) -> Float[Tensor, "tokens vocabulary"]:
    """Return the logits after each token of a sequence."""
    output = model(
        encoder_outputs=BaseModelOutput(last_hidden_state=hidden), decoder_input_ids=ids[None], use_cache=False
    )
    return output.logits[0]


def generate(
    model: Any, hidden: Float[Tensor, "1 time width"], prompt: list[int], end: int, seconds: float
) -> tuple[list[int], bool]:
    """Return the tokens of a greedy transcript, without prompt and end, and whether the decoder ended by itself.

    The length is bounded by what people can say: 7 tokens per second, and 10 more.
    """
    from transformers import GenerationMixin

    most = min(int(10 + 7 * seconds), model.config.max_target_positions - len(prompt) - 1)
    found = GenerationMixin.generate(
        model,
        encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
        decoder_input_ids=torch.tensor([prompt], device=hidden.device),
        max_length=len(prompt) + most,
        do_sample=False,
        num_beams=1,
    )
    tokens = [int(token) for token in found[0][len(prompt) :]]
    return [token for token in tokens if token < end], end in tokens
