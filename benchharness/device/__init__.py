"""The device side: a supervisor that starts and watches workers, and the worker that makes one attempt.

Standard library only (numpy in the worker), Python 3.9 or later, so that it runs on a board, under an older
interpreter, or out of a zip file. It imports `benchharness.contract` and `benchharness.errors` and nothing else
of the harness.
"""
