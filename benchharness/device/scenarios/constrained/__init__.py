"""Scenario `constrained`: how much a model needs, found by taking it away.

A conductor starts one trial after another, each a fresh worker process under a limit or beside a background load, and
notes how each of them fared. No limit, load or process outlives it: see `groups` for what happens when it is killed.
"""
