//! Which cores this process may use, and keeping a thread on one of them.

/// Keeps the calling thread on one of the cores that it may use, the one with this number among them, counted round. Returns
/// whether it does; never where the system does not offer it.
#[cfg(target_os = "linux")]
pub(crate) fn pin(number: usize) -> bool {
    let size = std::mem::size_of::<libc::cpu_set_t>();
    // SAFETY: plain zeros are an empty set; the calls read and write a set of the size that they are told, and the numbers of
    // cores are below the set's size.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size, &mut allowed) != 0 {
            return false;
        }
        let cores: Vec<_> = (0..libc::CPU_SETSIZE as usize)
            .filter(|&core| libc::CPU_ISSET(core, &allowed))
            .collect();
        if cores.is_empty() {
            return false;
        }
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cores[number % cores.len()], &mut one);
        libc::sched_setaffinity(0, size, &one) == 0
    }
}

/// Not offered on this platform.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_number: usize) -> bool {
    false
}
