"""`graft ask`, `graft chat`, `graft eval`: answers with their sources."""
