//! Bytes that hold something until nobody has them.

use axum::body::Bytes;

/// `bytes`, which hold `guard` until nobody has them any more: where they are sent, until they are written.
pub fn holding<G: Send + 'static>(bytes: Vec<u8>, guard: G) -> Bytes {
    struct Owned<G> {
        bytes: Vec<u8>,
        _guard: G,
    }

    impl<G> AsRef<[u8]> for Owned<G> {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    Bytes::from_owner(Owned { bytes, _guard: guard })
}
