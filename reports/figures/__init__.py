"""What the figures of a report share: canvas, the frozen data that a figure is, ratios, and SVG."""
