"""HDPO inside other trainers; each module needs the library that it is named after."""
