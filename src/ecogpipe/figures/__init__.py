"""Pictures of numbers: arrays in, a matplotlib figure out; nothing here reads a recording."""
