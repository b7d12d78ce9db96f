"""What can be read on a device, each sensor saying what it reads, in which unit, and why where it cannot."""
