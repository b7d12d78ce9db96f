"""What a model is fed: prompts, samples of data, or invented values, in the shapes, layouts and types that it takes."""
