"""The version, for every floor: the package itself stands above most of them."""

__version__ = "0.1.0"
