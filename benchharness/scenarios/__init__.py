"""What is measured, a scenario a module: its settings, and how its raw rows become metrics."""
