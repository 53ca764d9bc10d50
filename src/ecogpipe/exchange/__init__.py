"""Results in the formats that other programs of the field read: NWB."""
