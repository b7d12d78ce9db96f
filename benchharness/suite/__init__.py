"""The user's word: suites, models without one, hardware targets, and the jobs that follow from them."""
