//! The loops, each written once over [`vector`](crate::vector). No threads, no strides, no choice of a set in here.

pub(crate) mod columns;
pub(crate) mod extremum;
pub(crate) mod map;
pub(crate) mod number;
pub(crate) mod sum;
