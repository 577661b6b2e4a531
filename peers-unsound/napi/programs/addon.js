// The addon, in the folder UNSOUND_NAPI, where `cargo build` put it.
const { dlopen } = require("node:process");
const addon = { exports: {} };
dlopen(addon, process.env.UNSOUND_NAPI);
module.exports = addon.exports;
