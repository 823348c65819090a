"""A trained encoder with another attention mechanism: derived maps, installation, distillation."""
