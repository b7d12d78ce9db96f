"""How sure a number is. Host side only; scipy."""
