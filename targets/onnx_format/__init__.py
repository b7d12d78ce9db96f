"""Reads ONNX models without a runtime, for every adapter that opens them: one list of files, one signature, one digest.

`files` finds the model and what belongs to it, `external_data` the files that hold its tensors, `graph` and `signature`
tell what it is, `causality` and `input_rows` what its graph shows of tokens. `inspection`, `contents` and
`quantization` describe it. All of it stands on `targets.wire.protobuf`.
"""
