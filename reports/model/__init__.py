"""Results -> the plain frozen data that sections share: entries, estimates, tables' building blocks, jobs, page."""
