"""Import of Whisper models from folders in the format of CTranslate2, which faster-whisper uses."""
