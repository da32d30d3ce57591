"""Engines: what continues a conversation. `Engine` is the seam; nothing heavy is imported until one is started."""
