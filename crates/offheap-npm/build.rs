//! Tells the linker that the host has Node-API.

fn main() {
    napi_build::setup();
}
