"""Reads ExecuTorch's programs (`.pte`) without ExecuTorch, whose Python brings a gigabyte.

`files` finds the program and its weights, `program` reads what it says, `signature` tells a language model,
`inspection` describes it.
"""
