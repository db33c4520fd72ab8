//! Covet measured beside its peers.
