"""The section that compares the variants and configurations of one model on one workload."""
