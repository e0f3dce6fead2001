"""The version of the package.

Stands alone because the package names every public class, and who only needs its version must not know them
all.
"""

__version__ = "0.1.0"
