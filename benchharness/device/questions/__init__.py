"""What a host asks a device outside of a run, a program each."""
