"""Scenario `hybrid` on the device: a cloud asked first, and the device where it keeps a user waiting.

`conductor` starts one worker, in which `requests` asks and writes down what a user would have seen; `policy` decides
(pure), `asking` follows the cloud's answer, `local` writes on the device, `prompts` reads what is asked.
"""
