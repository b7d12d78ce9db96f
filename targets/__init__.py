"""Adapters: one module, or one small family of modules, for each runtime that runs models.

An adapter imports `benchharness.contract`, `benchharness.errors`, numpy and its own runtime, and nothing else: it is
loaded on the device, under the Python the device has. Importing it imports the runtime, which is what the harness
times as the import phase.
"""
