"""What runs inside a session's process: the standard library only, never evalkit itself."""
