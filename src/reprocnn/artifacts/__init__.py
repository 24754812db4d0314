"""Files that the stages exchange: one module per artifact, with its path, type, writer and reader."""
