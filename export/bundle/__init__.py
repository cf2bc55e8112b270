"""The bundle: one self-checking folder that Python and C++ both serve."""
