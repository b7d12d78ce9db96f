"""The device's end of the line to a host: the protocol, who is served, what is brought there and cleared away."""
