"""Scenario `quality`: a reference and its variants answer the same inputs in lockstep, and the answers are compared.

One process per loaded model (`scorer`), under whichever interpreter its configuration names; one `conductor` that feeds
them, reads their answers through bounded pipes, and keeps four numbers a token. Nothing the size of the logits is ever
stored. `tokens` and `samples` compare language models and all others; `divergence` holds the formulas.
"""
