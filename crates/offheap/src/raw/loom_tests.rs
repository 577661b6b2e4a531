//! Models of the reference count and the access word, run by loom.
