//! The methods and field names that every interpreter has as objects already.

use super::text;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_native::{Field, Header};

const METHODS: [&str; 9] = [
    "GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE",
];

/// Objects of one interpreter.
pub(crate) struct Names {
    methods: [Object; METHODS.len()],
    /// Those of [`Field::ALL`], in lower case, as ASGI has them.
    fields: Vec<Object>,
    /// The keys of an ASGI scope.
    pub(crate) scope: ScopeKeys,
    /// A scope with all of them, to be copied: then no key is added, and the dict never grows.
    pub(crate) new_scope: Object,
    /// The versions of ASGI, in each scope.
    pub(crate) new_versions: Object,
}

macro_rules! keys {
    ($($key:ident $text:literal)*) => {
        /// Keys and constant values of an ASGI scope.
        pub(crate) struct ScopeKeys {
            $(pub(crate) $key: Object,)*
        }

        impl ScopeKeys {
            unsafe fn new() -> Result<Self, Raised> {
                // SAFETY: attached, as the caller is.
                unsafe { Ok(Self { $($key: interned($text)?,)* }) }
            }

            fn references(&self) -> Vec<*mut ffi::PyObject> {
                vec![$(self.$key.as_ptr(),)*]
            }
        }
    };
}

keys! {
    kind "type"
    http "http"
    asgi "asgi"
    version "version"
    version_3 "3.0"
    spec_version "spec_version"
    spec_2_3 "2.3"
    http_version "http_version"
    http_1_0 "1.0"
    http_1_1 "1.1"
    method "method"
    scheme "scheme"
    path "path"
    raw_path "raw_path"
    query_string "query_string"
    root_path "root_path"
    headers "headers"
    client "client"
    server "server"
    empty ""
}

impl Names {
    /// # Safety
    /// Attached.
    pub(crate) unsafe fn new() -> Result<Self, Raised> {
        // SAFETY: attached, as promised.
        unsafe {
            let methods: Result<Vec<_>, _> = METHODS.iter().map(|name| interned(name)).collect();
            let fields = Field::ALL
                .iter()
                .map(|field| Object::bytes(field.name().as_bytes()));
            let scope = ScopeKeys::new()?;
            let versions = [
                (&scope.version, &scope.version_3),
                (&scope.spec_version, &scope.spec_2_3),
            ];
            let none = Object::borrowed(ffi::Py_None())?;
            let plain = [
                (&scope.kind, &scope.http),
                (&scope.asgi, &none),
                (&scope.http_version, &scope.http_1_1),
                (&scope.method, &none),
                (&scope.scheme, &scope.http),
                (&scope.path, &none),
                (&scope.raw_path, &none),
                (&scope.query_string, &none),
                (&scope.root_path, &scope.empty),
                (&scope.headers, &none),
                (&scope.client, &none),
                (&scope.server, &none),
            ];
            Ok(Self {
                new_scope: dict_of(&plain)?,
                new_versions: dict_of(&versions)?,
                methods: methods?
                    .try_into()
                    .unwrap_or_else(|_| unreachable!("as many as there are")),
                fields: fields.collect::<Result<_, _>>()?,
                scope,
            })
        }
    }

    pub(crate) fn references(&self) -> Vec<*mut ffi::PyObject> {
        let mut all = self.scope.references();
        all.extend([&self.new_scope, &self.new_versions].map(Object::as_ptr));
        all.extend(self.methods.iter().chain(&self.fields).map(Object::as_ptr));
        all
    }

    /// A method as a `str`.
    ///
    /// # Safety
    /// Attached to the interpreter of these names.
    #[inline]
    pub(crate) unsafe fn method(&self, method: &str) -> Result<Object, Raised> {
        match METHODS.iter().position(|known| *known == method) {
            Some(place) => Ok(self.methods[place].another()),
            // SAFETY: attached; a method is a token, which is ASCII.
            None => unsafe { text::ascii(method.as_bytes()) },
        }
    }

    /// The name of a field in lower case, as `bytes`.
    ///
    /// # Safety
    /// Attached to the interpreter of these names.
    #[inline]
    pub(crate) unsafe fn field(&self, header: &Header<'_>) -> Result<Object, Raised> {
        match header.field() {
            Some(field) => Ok(self.fields[field as usize].another()),
            // SAFETY: attached.
            None => unsafe { Object::bytes(header.name().to_ascii_lowercase().as_bytes()) },
        }
    }
}

unsafe fn dict_of(items: &[(&Object, &Object)]) -> Result<Object, Raised> {
    // SAFETY: attached, as the caller is.
    unsafe {
        let dict = Object::owned(ffi::PyDict_New())?;
        for (key, value) in items {
            set(&dict, key, value)?;
        }
        Ok(dict)
    }
}

/// Sets an item of a dict.
///
/// # Safety
/// Attached; `dict` is one.
#[inline]
pub(super) unsafe fn set(dict: &Object, key: &Object, value: &Object) -> Result<(), Raised> {
    // SAFETY: as promised.
    match unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

unsafe fn interned(text: &str) -> Result<Object, Raised> {
    // SAFETY: attached, as the caller is; the reference is replaced by one to the interned str.
    unsafe {
        let mut text = Object::string(text)?.into_ptr();
        ffi::PyUnicode_InternInPlace(&mut text);
        Object::owned(text)
    }
}
