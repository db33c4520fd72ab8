//! Where the program that embeds Python finds its shared library.

fn main() {
    #[cfg(feature = "interp")]
    pyo3_build_config::add_libpython_rpath_link_args();
}
