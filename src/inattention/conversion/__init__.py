"""Conversion of a trained encoder to another attention mechanism: derived maps, installation, distillation."""
