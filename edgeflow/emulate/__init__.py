"""Run a .nb on a PC: its ops become standard ONNX ops, with the arithmetic of the ARM kernels."""

from edgeflow.emulate.runner import Emulator

__all__ = ["Emulator"]
