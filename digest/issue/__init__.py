"""What was written: an issue file parsed into blocks, with a place for every part."""
