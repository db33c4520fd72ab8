//! Tells the crate which Python it is built for, and where tests find its shared library.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
}
