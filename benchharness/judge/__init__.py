"""What attempts mean: results with intervals, ratios, budgets, warnings, and a choice. Pure, host side only."""
