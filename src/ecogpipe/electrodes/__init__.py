"""The electrode array: where its channels sit, how they are wired, which of them to use."""
