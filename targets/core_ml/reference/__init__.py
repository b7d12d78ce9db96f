"""The reference execution: an ML program translated to ONNX and computed in float32, on any operating system."""
