//! A store-to-load fence that only one side pays for.
//!
//! Two threads that each store one word and then load the other's need a fence between the two, or both may miss the
//! other's store. Here one side is common (a push that looks for sleepers) and one is rare (a thread about to sleep). So
//! [`light`] only stops the compiler, and [`heavy`] makes the kernel run a full fence on every core that runs a thread of
//! this process (`membarrier`, private and expedited: Linux 4.14). Whichever of the two comes first, at least one side sees
//! the other's store. Where the call is missing or forbidden, without `std`, and on other systems, both are sequentially
//! consistent fences. No other file names a system, so what else one must be asked is here too: how many cores it has.
//!
//! Mixing is safe in one direction only: a full fence in place of `light` is always enough, so `light` stays a full fence
//! until the registration is known to have succeeded, and never goes back.

use core::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

/// True once `heavy` reaches the other threads by itself.
static ASYMMETRIC: AtomicBool = AtomicBool::new(false);

/// Registers the process for the asymmetric pair, once. Until this was called `light` costs a full fence.
pub(crate) fn prepare() {
    imp::prepare();
}

/// The fence of the common side.
#[inline(always)]
pub(crate) fn light() {
    // Relaxed: true is only ever stored after the kernel has accepted the registration for the whole process.
    if ASYMMETRIC.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The fence of the rare side: a system call that interrupts other cores.
#[cold]
pub(crate) fn heavy() {
    prepare();
    if ASYMMETRIC.load(Ordering::Relaxed) {
        imp::heavy();
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Returns whether two threads can run at once, as far as the whole machine is concerned.
///
/// Not what the calling thread may use: where each thread is bound to a core of its own, another one still runs meanwhile.
#[cfg(feature = "std")]
pub(crate) fn has_several_cores() -> bool {
    imp::cores() > 1
}

#[cfg(all(feature = "std", target_os = "linux", not(miri)))]
mod imp {
    use std::io::Error;
    use std::sync::Once;
    use std::sync::atomic::Ordering;

    use super::ASYMMETRIC;

    pub(super) fn prepare() {
        static REGISTER: Once = Once::new();
        REGISTER.call_once(|| {
            let registered = membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
            // Tried once before anyone relies on it: a sandbox may allow one command and refuse the other.
            let works = registered && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
            ASYMMETRIC.store(works, Ordering::Relaxed);
        });
    }

    pub(super) fn heavy() {
        let done = membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED);
        // Going on would be a lost wake-up sooner or later. Nothing but a system call filter that was installed after
        // `prepare` can make this fail.
        assert!(
            done,
            "membarrier worked before and now fails: {}",
            Error::last_os_error()
        );
    }

    pub(super) fn cores() -> usize {
        // SAFETY: sysconf(3) takes an integer and touches no memory of the caller.
        let cores = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
        // -1 if the system does not say.
        usize::try_from(cores).unwrap_or(1)
    }

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: membarrier(2) takes three integers and touches no memory of the caller.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(not(all(feature = "std", target_os = "linux", not(miri))))]
mod imp {
    pub(super) fn prepare() {}

    pub(super) fn heavy() {
        unreachable!("only an asymmetric pair has a heavy half of its own");
    }

    #[cfg(feature = "std")]
    pub(super) fn cores() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}
