"""Encoders as ONNX files and `torch.export` programs that run without this package."""
