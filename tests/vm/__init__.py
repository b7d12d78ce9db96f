"""Tests in a virtual machine with a kernel of its own: systemd and version 2 of control groups (`make test-vm`)."""
