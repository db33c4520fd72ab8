//! Where the stack of the calling thread ends.

/// The lowest address of the calling thread's stack; 0 where it cannot be found out, which reads as "plenty".
#[cfg(target_os = "linux")]
pub(crate) fn lowest_address() -> usize {
    use std::mem::MaybeUninit;
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut lowest, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: pthread_getattr_np fills the attributes in, which are then read and destroyed once.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return 0;
        }
        let found = libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if found == 0 { lowest as usize } else { 0 }
    }
}

/// Not known on this platform.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lowest_address() -> usize {
    0
}
