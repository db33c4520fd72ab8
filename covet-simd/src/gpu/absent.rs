//! What stands for CUDA in a build without the feature: there is no stream, hence no memory, hence nothing to do.

#![allow(clippy::extra_unused_type_parameters)] // which CUDA uses

use super::{Device, Error};
use crate::element::{Element, Float};
use crate::op::Unary;

fn absent() -> Error {
    Error::Unavailable("no CUDA: this was built without the feature `cuda`".into())
}

pub(super) fn devices() -> Result<Vec<Device>, Error> {
    Err(absent())
}

#[derive(Clone, Copy, Debug)]
enum Never {}

#[derive(Clone, Debug)]
pub(super) struct Stream(Never);

impl Stream {
    pub(super) fn new(_: usize) -> Result<Self, Error> {
        Err(absent())
    }

    pub(super) fn device(&self) -> usize {
        match self.0 {}
    }

    pub(super) fn synchronize(&self) -> Result<(), Error> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(super) struct Memory(Never);

impl Memory {
    pub(super) fn new(stream: &Stream, _: usize) -> Result<Self, Error> {
        match stream.0 {}
    }

    pub(super) fn stream(&self) -> &Stream {
        match self.0 {}
    }

    pub(super) unsafe fn upload(&mut self, _: *const u8, _: usize) -> Result<(), Error> {
        match self.0 {}
    }

    pub(super) unsafe fn download(&self, _: *mut u8, _: usize) -> Result<(), Error> {
        match self.0 {}
    }

    pub(super) fn copy(&self) -> Result<Self, Error> {
        match self.0 {}
    }

    pub(super) fn unary<T: Element>(&self, _: Unary, _: usize) -> Result<Self, Error> {
        match self.0 {}
    }

    pub(super) fn axpy<T: Element>(&mut self, _: T, _: &Self, _: usize) -> Result<(), Error> {
        match self.0 {}
    }

    pub(super) fn sum<T: Element>(&self, _: usize) -> Result<T::Sum, Error> {
        match self.0 {}
    }

    pub(super) fn matmul<T: Float>(&self, _: &Self, _: [usize; 3]) -> Result<Self, Error> {
        match self.0 {}
    }
}
