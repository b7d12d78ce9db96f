"""Reads OpenVINO's own models (`.xml` with its `.bin`) without OpenVINO: which files they are, and what they say.

`files` finds the model and what belongs to it, `inspection` describes it, `names` are what files and runtime share.
"""
