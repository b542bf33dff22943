"""Self-RAG: segments of an answer written per passage, judged, and searched over."""
