"""What is measured: a module or a package for each scenario, loaded by the dotted name that an order gives.

A module that measures has `measure(stage)`: it gets a `Stage` (the loaded session, the workload, the phases so far)
and returns measurements as plain JSON-ready mappings: metric, parameters, value, samples, row_length. One that
conducts others has `conduct(order, progress, bundle)` and returns the whole `measured` message. Nothing here is
imported before an order names it, so that a worker loads one scenario and no other.
"""
