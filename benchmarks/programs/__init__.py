"""Programs that benchmarks start as processes of their own. Each prints one JSON object as its last line."""
