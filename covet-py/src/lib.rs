//! The Python package `covet_py`.
