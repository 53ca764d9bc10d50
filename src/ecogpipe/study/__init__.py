"""What a person writes: settings, recordings, masks; and the raw files that they name."""
