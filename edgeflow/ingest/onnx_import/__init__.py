"""ONNX files as Paddle programs: read with bounds, folded, and translated node by node, without generated code."""
