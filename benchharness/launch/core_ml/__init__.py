"""Reaches an iPhone or iPad that is connected to this Mac: programs start here, and coremltools computes there."""
