"""A small local server, in which a person looks at the pages of a study and saves what they decide."""
