"""The section on budgets: each with every result held against it."""
