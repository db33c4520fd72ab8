//! What every build but loom's has in its real form.

/// A function that is `const` wherever loom's types are not in it.
#[cfg(feature = "std")]
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $name:ident() -> $ret:ty $body:block) => {
        $(#[$meta])*
        $vis const fn $name() -> $ret $body
    };
}

#[cfg(feature = "std")]
pub(crate) use const_fn;

/// A cell whose accesses are closures, so that loom can see where each begins and ends.
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Returns where the content of the first of several cells lies. A model cannot tell that.
#[inline(always)]
pub(crate) fn first_of<T>(cells: *const UnsafeCell<T>) -> *mut T {
    core::cell::UnsafeCell::raw_get(cells.cast())
}
