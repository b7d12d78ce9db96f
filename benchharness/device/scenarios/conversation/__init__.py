"""Scenario `conversation` on the device: a whole session of use, turn by turn, and how a model comes back after it.

`conductor` starts two workers: `talk` replays the turns, `returning` unloads and loads again; `turns` reads the file.
"""
